//! Retries through a proxy on real sockets, and connections that die at bad moments.

mod proxy_support;

use std::time::Duration;

use proxy_support::{Act, Client, End, Proxy, Upstream, header};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

const QUICK: &str = "retry_back_off: {base_interval: 0.001s}";

fn policy(fields: &str) -> String {
    format!("retry_policy:\n  {QUICK}\n  {fields}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_tried_again() {
    let upstream = Upstream::start("a", |n, _| Act::Answer(if n < 2 { 503 } else { 200 })).await;
    let route = policy("retry_on: 5xx\n  num_retries: 2");
    let proxy = Proxy::start(&[upstream.address], 1, &route, "").await;
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.headers["x-envoy-attempt-count"].as_str()), (200, "3"));
    assert_eq!(upstream.requests(), 3);
    assert_eq!(proxy.stat("upstream_rq_retry").await, 2);
    assert_eq!(proxy.stat("upstream_rq_retry_success").await, 1);
    assert_eq!(proxy.stat("retry.upstream_rq_503").await, 2);
    assert_eq!(proxy.find_stat("upstream_rq_503").await, None);
    assert_eq!(proxy.stat("circuit_breakers.default.rq_retry_open").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_before_the_head_are_tried_again_with_the_body() {
    let body = "x".repeat(300_000);
    let expected = body.clone();
    let upstream = Upstream::start("a", move |n, request| {
        assert_eq!(header(request, "content-length"), Some("300000"));
        assert!(request.ends_with(&expected), "the whole body, in each try");
        match n {
            0 => Act::Close,
            1 => Act::Reset,
            _ => Act::Answer(200),
        }
    })
    .await;
    let route = policy("retry_on: reset\n  num_retries: 2");
    let proxy = Proxy::start(&[upstream.address], 1, &route, "").await;
    let answer = proxy.client().await.send("POST", "/", &[], body.into()).await;
    assert_eq!((answer.status, upstream.requests()), (200, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_the_limit_is_passed_on_but_not_tried_again() {
    let upstream = Upstream::start("a", |_, _| Act::Answer(503)).await;
    let route = policy("retry_on: 5xx\n  num_retries: 2");
    let proxy = Proxy::start(&[upstream.address], 1, &route, "").await;
    let body = vec![b'x'; (1 << 20) + 1];
    let answer = proxy.client().await.send("POST", "/", &[], body).await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "a"));
    assert_eq!(upstream.requests(), 1);
    assert_eq!(proxy.stat("retry_or_shadow_abandoned").await, 1);
    assert_eq!(proxy.stat("upstream_rq_retry").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_is_hidden_by_the_others() {
    // Bound, and then given up: nobody listens there.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let upstream = Upstream::good("a").await;
    let route = policy(
        "retry_on: connect-failure\n  num_retries: 1\n  host_selection_retry_max_attempts: 5\n  \
         retry_host_predicate:\n  - name: envoy.retry_host_predicates.previous_hosts\n    \
         typed_config:\n      '@type': type.googleapis.com/envoy.extensions.retry.host.\
         previous_hosts.v3.PreviousHostsPredicate",
    );
    let proxy = Proxy::start(&[dead, upstream.address], 2, &route, "").await;
    for _ in 0..8 {
        let mut client = proxy.client().await;
        for _ in 0..10 {
            assert_eq!(client.get("/").await.status, 200);
        }
    }
    assert_eq!(upstream.requests(), 80);
    assert_eq!(proxy.stat("upstream_rq_200").await, 80);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_after_retries_says_so() {
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let route = policy("retry_on: connect-failure\n  num_retries: 1");
    let proxy = Proxy::start(&[dead], 1, &route, "").await;
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.headers["x-envoy-attempt-count"].as_str()), (503, "2"));
    assert_eq!(
        answer.body,
        "upstream connect error or disconnect/reset before headers. retried and the latest \
         reset reason: remote connection failure"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_hangs_is_given_up_for_another() {
    let upstream =
        Upstream::start("a", |n, _| if n == 0 { Act::Hang } else { Act::Answer(200) }).await;
    let route = policy("retry_on: reset\n  per_try_timeout: 0.1s");
    let proxy = Proxy::start(&[upstream.address], 1, &route, "").await;
    assert_eq!(proxy.client().await.get("/").await.status, 200);
    assert_eq!(proxy.stat("upstream_rq_per_try_timeout").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_between_tries_leaves_nothing_behind() {
    let upstream = Upstream::start("a", |_, _| Act::Answer(503)).await;
    let route = "retry_policy:\n  retry_on: 5xx\n  num_retries: 9\n  \
                 retry_back_off: {base_interval: 60s}";
    let proxy = Proxy::start(&[upstream.address], 1, route, "").await;
    for _ in 0..3 {
        let mut client = proxy.client().await;
        // Back-off is drawn from up to a minute: most likely this ends in the middle of it.
        let _ = timeout(Duration::from_millis(100), client.get("/")).await;
    }
    proxy.until_stat("upstream_rq_active", 0).await;
    proxy.until_stat("circuit_breakers.default.rq_retry_open", 0).await;
    // Three in flight is the limit: their places have come back.
    let mut client = proxy.client().await;
    let _ = timeout(Duration::from_millis(100), client.get("/")).await;
    assert_eq!(proxy.stat("upstream_rq_retry_overflow").await, 0);
}

/// Kept connections that end between two requests cost none of those that can be repeated, in
/// whatever way and at whatever moment they end, without any retry policy.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_between_two_requests_is_noticed_or_made_up_for() {
    for end in [End::Close, End::Reset] {
        let upstream = Upstream::good("a").await;
        let proxy = Proxy::start(&[upstream.address], 1, "", "").await;
        let mut client = proxy.client().await;
        for round in 0..60u64 {
            assert_eq!(client.get("/").await.status, 200, "{end:?} {round}");
            sleep(Duration::from_millis(2)).await;
            upstream.end_idle(end);
            // From "still unnoticed, the write succeeds" over "the write fails" to "noticed".
            sleep(Duration::from_micros(round * 20)).await;
        }
        assert!(proxy.stat("upstream_cx_total").await > 50, "connections did end");
        assert_eq!(proxy.find_stat("upstream_rq_503").await, None);
    }
}

/// A request that might have been acted on is not repeated without a policy.
#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_repeated_is_not() {
    let upstream =
        Upstream::start("a", |n, _| if n == 1 { Act::Close } else { Act::Answer(200) }).await;
    let proxy = Proxy::start(&[upstream.address], 1, "", "").await;
    let mut client = proxy.client().await;
    assert_eq!(client.get("/").await.status, 200);
    sleep(Duration::from_millis(2)).await;
    let answer = client.send("POST", "/", &[], b"order".to_vec()).await;
    assert_eq!((answer.status, upstream.requests()), (503, 2));
}

/// What is handed to a request that has left the queue goes to the next one in it.
#[tokio::test(flavor = "multi_thread")]
async fn connections_of_those_who_wait_no_more_are_passed_on() {
    let upstream = Upstream::start("a", |_, request| {
        let slow = request.starts_with("GET /slow");
        if slow {
            // In its own thread of the test's runtime.
            std::thread::sleep(Duration::from_millis(100));
        }
        Act::Answer(200)
    })
    .await;
    let cluster = "circuit_breakers: {thresholds: [{max_connections: 1}]}";
    let proxy = Proxy::start(&[upstream.address], 1, "", cluster).await;
    let address = proxy.address;
    // One has the connection; others wait for it, and half of them leave.
    let mut waiting = Vec::new();
    for n in 0..20u64 {
        waiting.push(tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            let request = client.get(if n == 0 { "/slow" } else { "/" });
            if n % 2 == 1 {
                let _ = timeout(Duration::from_millis(90 + n), request).await;
                return;
            }
            let answer = timeout(Duration::from_secs(10), request).await;
            assert_eq!(answer.expect("nobody is forgotten").status, 200);
        }));
    }
    for request in waiting {
        request.await.unwrap();
    }
    proxy.until_stat("upstream_rq_pending_active", 0).await;
    proxy.until_stat("upstream_rq_active", 0).await;
}
