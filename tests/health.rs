//! Health checks and outlier detection, through a proxy on real sockets.

mod proxy_support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use front_proxy_layers::body::Body;
use front_proxy_layers::cluster::{Cluster, HealthOptions};
use front_proxy_layers::discover::{Checking, Member, MemberSet};
use front_proxy_layers::endpoint::Endpoint;
use front_proxy_layers::health::{Health, HealthFlag, HealthStatus};
use front_proxy_layers::health_check::{
    Codec, GrpcProbe, HealthCheck, HttpProbe, Payload, Probe, TcpProbe,
};
use http_body_util::BodyExt as _;
use proxy_support::{Act, Proxy, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tower::ServiceExt as _;

/// Checked every 20 ms, from the start on.
const CHECKED: &str = "\
health_checks:
- {timeout: 5s, interval: 0.02s, no_traffic_interval: 0.02s, unhealthy_threshold: 1, \
healthy_threshold: 1, http_health_check: {path: /healthz}}";
const NO_PANIC: &str = "common_lb_config: {healthy_panic_threshold: {value: 0}}";

/// An upstream whose health is a switch, and the switch.
async fn switched(name: &'static str, well: bool) -> (Upstream, Arc<AtomicBool>) {
    let switch = Arc::new(AtomicBool::new(well));
    let well = Arc::clone(&switch);
    let upstream = Upstream::start(name, move |_, request| {
        let check = request.starts_with("GET /healthz ");
        Act::Answer(if check && !well.load(Ordering::SeqCst) { 503 } else { 200 })
    });
    (upstream.await, switch)
}

/// Who answered so many requests.
async fn answers(proxy: &Proxy, n: usize) -> Vec<String> {
    let mut client = proxy.client().await;
    let mut bodies = Vec::new();
    for _ in 0..n {
        bodies.push(client.get("/").await.body);
    }
    bodies
}

/// An address where nobody listens, nor will: it is taken.
fn nobody() -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    std::mem::forget(socket);
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fails_its_checks_gets_nothing_until_it_is_well() {
    let (a, a_is_well) = switched("a", true).await;
    let (b, _) = switched("b", true).await;
    let proxy = Proxy::start(&[a.address, b.address], 1, "", CHECKED).await;
    // Listeners open when everybody was checked once.
    assert_eq!(proxy.stat("membership_healthy").await, 2);
    assert_eq!(answers(&proxy, 4).await, ["a", "b", "a", "b"]);

    a_is_well.store(false, Ordering::SeqCst);
    proxy.until_stat("membership_healthy", 1).await;
    assert_eq!(proxy.health_flags(a.address).await, "/failed_active_hc");
    assert_eq!(answers(&proxy, 3).await, ["b"; 3]);
    assert_eq!(proxy.stat("health_check.healthy").await, 1);
    assert_eq!(proxy.stat("membership_total").await, 2);

    a_is_well.store(true, Ordering::SeqCst);
    proxy.until_stat("membership_healthy", 2).await;
    assert_eq!(proxy.health_flags(a.address).await, "healthy");
    let mut both = answers(&proxy, 4).await;
    both.sort();
    assert_eq!(both, ["a", "a", "b", "b"]);
    assert_eq!(proxy.stat("lb_healthy_panic").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_healthy_is_an_answer_or_a_panic() {
    let (a, _) = switched("a", false).await;
    let (b, _) = switched("b", false).await;
    let calm = format!("{CHECKED}\n{NO_PANIC}");
    let proxy = Proxy::start(&[a.address, b.address], 1, "", &calm).await;
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "no healthy upstream"));
    assert_eq!(proxy.stat("upstream_cx_none_healthy").await, 1);
    assert_eq!(proxy.stat("lb_healthy_panic").await, 0);

    let proxy = Proxy::start(&[a.address, b.address], 1, "", CHECKED).await;
    assert_eq!(answers(&proxy, 4).await, ["a", "b", "a", "b"]);
    assert_eq!(proxy.stat("lb_healthy_panic").await, 4);
    assert_eq!(proxy.stat("membership_healthy").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_are_requests_of_their_own() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let upstream = Upstream::start("a", move |_, request| {
        seen.lock().unwrap().push(request.to_owned());
        Act::Answer(200)
    })
    .await;
    let check = "\
health_checks:
- timeout: 5s
  interval: 0.02s
  no_traffic_interval: 0.02s
  unhealthy_threshold: 1
  healthy_threshold: 1
  http_health_check:
    path: /are/you?there
    host: me
    method: POST
    send: {text: '6162'}
    request_headers_to_add: [{header: {key: x-of, value: check}}]
    receive: [{text: '61'}]";
    let proxy = Proxy::start(&[upstream.address], 1, "", check).await;
    // Everybody was checked once by now.
    assert!(proxy.stat("health_check.success").await > 0);
    let head = heads.lock().unwrap()[0].to_lowercase();
    let expected = "post /are/you?there http/1.1\r\nhost: me\r\nuser-agent: envoy/hc\r\nx-of: check\r\n\
                    content-length: 2\r\n\r\nab";
    assert_eq!(head, expected);
    // They are nobody's traffic.
    for stat in ["upstream_cx_total", "upstream_rq_total", "upstream_cx_tx_bytes_total"] {
        assert_eq!(proxy.stat(stat).await, 0, "{stat}");
    }
    assert_eq!(proxy.stat("health_check.failure").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_ask_to_be_left_out() {
    let a = Upstream::start("a", |_, request| match request.starts_with("GET /healthz ") {
        // Answers its first check only.
        true => Act::Answer(200),
        false => Act::Say(
            "HTTP/1.1 200 OK\r\nx-envoy-immediate-health-check-fail: true\r\ncontent-length: 1\r\n\r\na",
        ),
    })
    .await;
    let (b, _) = switched("b", true).await;
    let seldom = CHECKED.replace("0.02s", "600s");
    let proxy = Proxy::start(&[a.address, b.address], 1, "", &seldom).await;
    assert_eq!(answers(&proxy, 4).await, ["a", "b", "b", "b"]);
    let flags = "/failed_active_hc/excluded_via_immediate_hc_fail";
    assert_eq!(proxy.health_flags(a.address).await, flags);
    assert_eq!(proxy.stat("membership_excluded").await, 1);
    assert_eq!(proxy.stat("health_check.passive_failure").await, 1);
}

/// Checks without end, and quick ones.
fn check(probe: impl Into<Probe>) -> HealthCheck {
    let soon = Duration::from_millis(10);
    HealthCheck {
        interval: soon,
        no_traffic_interval: soon,
        unhealthy_threshold: 1,
        healthy_threshold: 1,
        ..HealthCheck::new(probe)
    }
}

async fn checked(address: SocketAddr, check: HealthCheck) -> (Cluster, Arc<Endpoint>) {
    let cluster =
        Cluster::builder("service1").members([Member::new(address)]).health_check(check).build();
    cluster.initialized().await;
    let endpoint = cluster.endpoints().remove(0);
    (cluster, endpoint)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_can_be_check_enough() {
    let (_cluster, dead) = checked(nobody(), check(TcpProbe::default())).await;
    assert_eq!(dead.health().health(), Health::Unhealthy);
    let upstream = Upstream::good("a").await;
    let (_cluster, good) = checked(upstream.address, check(TcpProbe::default())).await;
    assert_eq!(good.health().health(), Health::Healthy);
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_must_come_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(Mutex::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            *count.lock().unwrap() += 1;
            tokio::spawn(async move {
                let mut ping = [0; 4];
                while stream.read_exact(&mut ping).await.is_ok() && &ping == b"PING" {
                    // In two pieces, with something before it.
                    for piece in ["...+PO", "NG"] {
                        stream.write_all(piece.as_bytes()).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                }
            });
        }
    });
    let probe = |send: &'static str, receive: &'static str| TcpProbe {
        send: send.into(),
        receive: Payload::new([receive.into()]),
    };
    let (_cluster, good) = checked(address, check(probe("PING", "+PONG"))).await;
    assert_eq!(good.health().health(), Health::Healthy);
    assert_eq!(*connections.lock().unwrap(), 1);
    let (_cluster, other) = checked(address, check(probe("QUIT", "+PONG"))).await;
    assert_eq!(other.health().health(), Health::Unhealthy, "it closes");
    let hasty = HealthCheck {
        timeout: Duration::from_millis(20),
        ..check(probe("PING", "something else"))
    };
    let (_cluster, slow) = checked(address, hasty).await;
    let flags: Vec<_> = slow.health().iter().collect();
    assert_eq!(flags, [HealthFlag::FailedActiveHc, HealthFlag::ActiveHcTimeout]);
}

/// gRPC's health service, which knows the service `up` and says of all others that they are not
/// serving. As plain HTTP/2 it answers 200.
async fn health_service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    tokio::spawn(async move {
                        let (head, mut body) = request.into_parts();
                        let mut asked = Vec::new();
                        while let Some(Ok(data)) = body.data().await {
                            asked.extend_from_slice(&data);
                        }
                        let grpc = head.uri.path() == "/grpc.health.v1.Health/Check"
                            && head.method == "POST"
                            && head.headers["te"] == "trailers"
                            && head.headers["content-type"] == "application/grpc";
                        let response = http::Response::new(());
                        let mut send = respond.send_response(response, !grpc).unwrap();
                        if grpc {
                            let status = if asked.ends_with(b"\x0a\x02up") { 1 } else { 2 };
                            send.send_data(vec![0, 0, 0, 0, 2, 8, status].into(), false).unwrap();
                            let mut trailers = http::HeaderMap::new();
                            trailers.insert("grpc-status", "0".parse().unwrap());
                            send.send_trailers(trailers).unwrap();
                        }
                    });
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_says_which_service_is_serving() {
    let address = health_service().await;
    let of =
        |name: &str| check(GrpcProbe { service_name: name.to_owned(), ..GrpcProbe::default() });
    let (_cluster, up) = checked(address, of("up")).await;
    assert_eq!(up.health().health(), Health::Healthy);
    let (_cluster, down) = checked(address, of("down")).await;
    assert_eq!(down.health().health(), Health::Unhealthy);
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_can_be_http2_where_requests_are_not() {
    let address = health_service().await;
    let probe = HttpProbe { codec: Codec::Http2, ..HttpProbe::get("/") };
    let (_cluster, endpoint) = checked(address, check(probe)).await;
    assert_eq!(endpoint.health().health(), Health::Healthy);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_can_be_checked_elsewhere_or_not_at_all() {
    let well = Upstream::good("well").await;
    let port = Some(well.address.port());
    let elsewhere = Checking { port, ..Checking::default() };
    let unchecked = Checking { disabled: true, ..Checking::default() };
    let members = [elsewhere, unchecked]
        .map(|checking| Member { checking: Some(Arc::new(checking)), ..Member::new(nobody()) });
    let builder = Cluster::builder("c").members(members);
    let cluster = builder.health_check(check(HttpProbe::get("/"))).build();
    cluster.initialized().await;
    let health = cluster.endpoints().iter().map(|e| e.health().health()).collect::<Vec<_>>();
    assert_eq!(health, [Health::Healthy; 2]);
    assert!(well.requests() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_healthy_stays_though_discovery_names_it_no_more() {
    let (upstream, is_well) = switched("a", true).await;
    let builder = || Cluster::builder("c").health_check(check(HttpProbe::get("/healthz")));
    let members = vec![Member::new(upstream.address)];
    let cluster = builder().members(members.clone()).build();
    cluster.initialized().await;
    let endpoint = cluster.endpoints().remove(0);
    assert!(!cluster.update(Vec::new()));
    assert!(endpoint.health().contains(HealthFlag::PendingDynamicRemoval));
    cluster.update(members.clone());
    assert!(!endpoint.health().contains(HealthFlag::PendingDynamicRemoval));
    cluster.update(Vec::new());
    assert_eq!(cluster.endpoints().len(), 1);
    is_well.store(false, Ordering::SeqCst);
    for _ in 0..2000 {
        if cluster.endpoints().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(cluster.endpoints().len(), 0);

    is_well.store(true, Ordering::SeqCst);
    let options = HealthOptions { ignore_health_on_removal: true, ..HealthOptions::default() };
    let cluster = builder().health(options).members(members).build();
    cluster.initialized().await;
    assert!(cluster.update(Vec::new()));
    assert_eq!(cluster.endpoints().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_end_with_their_cluster() {
    let upstream = Upstream::good("a").await;
    let (cluster, endpoint) = checked(upstream.address, check(HttpProbe::get("/"))).await;
    let weak = Arc::downgrade(&endpoint);
    drop((cluster, endpoint));
    for _ in 0..2000 {
        if weak.strong_count() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("something still holds on to the endpoint");
}

/// Who answers so many requests to the cluster itself.
async fn served(cluster: &Cluster, n: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..n {
        let request = http::Request::get("/").header("host", "x").body(Body::empty()).unwrap();
        let response = cluster.clone().oneshot(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        bodies.push(String::from_utf8(body.to_vec()).unwrap());
    }
    bodies
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_priority_stands_in_and_turns_stay_strict() {
    let names = ["a", "b", "c", "d"];
    let mut upstreams = Vec::new();
    for name in names {
        upstreams.push(Upstream::good(name).await);
    }
    let cluster = Cluster::builder("c").build();
    let set = |first: HealthStatus| {
        let members = upstreams.iter().enumerate().map(|(n, upstream)| {
            let priority = u32::from(n > 1);
            let status = if n < 2 { first } else { HealthStatus::Unknown };
            Member { priority, status, ..Member::new(upstream.address) }
        });
        cluster.update(members.collect());
    };
    set(HealthStatus::Healthy);
    assert_eq!(served(&cluster, 4).await, ["a", "b", "a", "b"]);
    set(HealthStatus::Unhealthy);
    assert_eq!(served(&cluster, 4).await, ["c", "d", "c", "d"]);
    set(HealthStatus::Degraded);
    assert_eq!(served(&cluster, 3).await, ["c", "d", "c"], "a healthy one goes before");
    set(HealthStatus::Healthy);
    assert_eq!(served(&cluster, 3).await, ["a", "b", "a"]);
}

const EJECTS: &str = "\
outlier_detection: {consecutive_5xx: 2, max_ejection_percent: 100, base_ejection_time: 600s}";

#[tokio::test(flavor = "multi_thread")]
async fn failures_in_a_row_are_the_last_that_an_endpoint_gets() {
    let bad = Upstream::start("bad", |_, _| Act::Answer(500)).await;
    let good = Upstream::good("good").await;
    let cluster = format!("{EJECTS}\n{NO_PANIC}");
    let proxy = Proxy::start(&[bad.address, good.address], 1, "", &cluster).await;
    let expected = ["bad", "good", "bad", "good", "good", "good"];
    assert_eq!(answers(&proxy, 6).await, expected);
    assert_eq!(bad.requests(), 2);
    assert_eq!(proxy.health_flags(bad.address).await, "/failed_outlier_check");
    for (stat, value) in [
        ("outlier_detection.ejections_active", 1),
        ("outlier_detection.ejections_enforced_total", 1),
        ("outlier_detection.ejections_enforced_consecutive_5xx", 1),
        ("outlier_detection.ejections_detected_consecutive_5xx", 1),
        ("outlier_detection.ejections_overflow", 0),
        ("membership_healthy", 1),
        // Its connection is given up.
        ("upstream_cx_destroy_local", 1),
    ] {
        assert_eq!(proxy.stat(stat).await, value, "{stat}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn timeouts_and_broken_connections_are_failures() {
    let cluster = format!("{EJECTS}\n{NO_PANIC}");
    let hangs = Upstream::start("a", |_, _| Act::Hang).await;
    let proxy = Proxy::start(&[hangs.address], 1, "timeout: 0.05s", &cluster).await;
    let mut client = proxy.client().await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(client.get("/").await.status);
    }
    assert_eq!(statuses, [504, 504, 503]);

    for act in [Act::Close, Act::Reset] {
        let breaks = Upstream::start("a", move |_, _| act.clone()).await;
        let proxy = Proxy::start(&[breaks.address], 1, "", &cluster).await;
        let mut client = proxy.client().await;
        for _ in 0..3 {
            assert_eq!(client.get("/").await.status, 503);
        }
        assert_eq!(breaks.requests(), 2);
    }

    let proxy = Proxy::start(&[nobody()], 1, "", &cluster).await;
    let mut client = proxy.client().await;
    let mut bodies = Vec::new();
    for _ in 0..3 {
        bodies.push(client.get("/").await.body == "no healthy upstream");
    }
    assert_eq!(bodies, [false, false, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_answer_is_a_failure_after_a_success() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhalf";
    let upstream = Upstream::start("a", move |_, _| Act::Say(half)).await;
    let cluster = format!("{EJECTS}\n{NO_PANIC}").replace("5xx: 2", "5xx: 1");
    let proxy = Proxy::start(&[upstream.address], 1, "", &cluster).await;
    let request = async {
        let mut stream = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    let ends = async {
        proxy.until_stat("upstream_rq_active", 1).await;
        upstream.end_idle(proxy_support::End::Close);
    };
    let (answer, ()) = tokio::join!(request, ends);
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    proxy.until_stat("outlier_detection.ejections_active", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_check_ends_an_ejection() {
    let upstream = Upstream::start("a", |_, request| {
        Act::Answer(if request.starts_with("GET /healthz ") { 200 } else { 500 })
    })
    .await;
    let cluster = format!("{CHECKED}\n{EJECTS}\n{NO_PANIC}");
    let proxy = Proxy::start(&[upstream.address], 1, "", &cluster).await;
    let mut client = proxy.client().await;
    for _ in 0..2 {
        assert_eq!(client.get("/").await.status, 500);
    }
    proxy.until_stat("outlier_detection.ejections_active", 0).await;
    assert_eq!(proxy.stat("outlier_detection.ejections_enforced_total").await, 1);
}
