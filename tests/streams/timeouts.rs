use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::front::{Front, Parts, answers, app};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn an_idle_stream_is_a_504_and_its_connection_goes_on() {
    let app = answers(Duration::from_secs(3), OK).await;
    let manager = "          stream_idle_timeout: 0.2s";
    let front =
        Front::start(app, Parts { manager, route: "timeout: 0s,", ..Parts::default() }).await;
    let mut client = front.connect().await;
    for n in 1..=2 {
        client.send(GET).await;
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
        assert!(answer.ends_with("stream timeout"), "{answer}");
        front.expect("http.t.downstream_rq_idle_timeout", n).await;
    }
    assert!(client.is_open().await);
    front.expect("cluster.app.upstream_cx_destroy_local_with_active_rq", 2).await;
    front.expect("cluster.app.upstream_rq_timeout", 0).await;
}

#[tokio::test]
async fn an_idle_upload_is_a_408_and_closes() {
    let app = answers(Duration::from_secs(3), OK).await;
    let manager = "          stream_idle_timeout: 60s\n          delayed_close_timeout: 0.1s";
    let parts = Parts { manager, route: "idle_timeout: 0.2s,", ..Parts::default() };
    let front = Front::start(app, parts).await;
    let mut client = front.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab").await;
    // Something moves before the time is up: it starts anew.
    tokio::time::sleep(Duration::from_millis(120)).await;
    client.send("c").await;
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert!(front_is_silent(&client).await);
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    client.rest().await;
    front.expect("http.t.downstream_rq_response_before_rq_complete", 1).await;
    front.expect("http.t.downstream_cx_delayed_close_timeout", 1).await;
}

async fn front_is_silent(client: &super::front::Client) -> bool {
    tokio::time::timeout(Duration::from_millis(1), client.0.readable()).await.is_err()
}

#[tokio::test]
async fn a_request_that_is_too_slow_is_a_408() {
    let app = answers(Duration::from_secs(3), OK).await;
    let manager = "          request_timeout: 0.2s\n          delayed_close_timeout: 0.1s";
    let front = Front::start(app, Parts { manager, ..Parts::default() }).await;
    let mut client = front.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab").await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nrequest timeout"), "{answer}");
    client.rest().await;
    front.expect("http.t.downstream_rq_timeout", 1).await;
}

#[tokio::test]
async fn a_stream_has_a_longest_duration_on_both_sides() {
    let slow = Duration::from_secs(3);
    let manager = "          common_http_protocol_options: {max_stream_duration: 0.2s}";
    let front = Front::start(answers(slow, OK).await, Parts { manager, ..Parts::default() }).await;
    let mut client = front.connect().await;
    client.send(GET).await;
    let answer = client.answer().await;
    assert!(answer.ends_with("downstream duration timeout"), "{answer}");
    front.expect("http.t.downstream_rq_max_duration_reached", 1).await;

    let cluster = "    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        common_http_protocol_options: {max_stream_duration: 0.2s}
        explicit_http_config: {http_protocol_options: {}}";
    let front = Front::start(answers(slow, OK).await, Parts { cluster, ..Parts::default() }).await;
    let mut client = front.connect().await;
    client.send(GET).await;
    let answer = client.answer().await;
    assert!(answer.ends_with("upstream max stream duration reached"), "{answer}");
    front.expect("cluster.app.upstream_rq_max_duration_reached", 1).await;
}

#[tokio::test]
async fn the_last_request_of_a_connection_says_so() {
    let app = answers(Duration::ZERO, OK).await;
    let manager = "          common_http_protocol_options: {max_requests_per_connection: 2}";
    let front = Front::start(app, Parts { manager, ..Parts::default() }).await;
    let mut client = front.connect().await;
    client.send(GET).await;
    assert!(!client.answer().await.contains("connection: close"));
    client.send(GET).await;
    assert!(client.answer().await.contains("\r\nconnection: close\r\n"));
    client.rest().await;
    front.expect("http.t.downstream_cx_max_requests_reached", 1).await;
}

#[tokio::test]
async fn what_is_cut_off_still_arrives_and_the_close_waits() {
    // The upstream closes in the middle of its answer.
    let app = app(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    })
    .await;
    let manager = "          delayed_close_timeout: 0.3s";
    let front = Front::start(app, Parts { manager, ..Parts::default() }).await;
    let mut client = front.connect().await;
    client.send(GET).await;
    let (text, took) = client.rest().await;
    assert!(text.ends_with("\r\n\r\nhalf"), "{text}");
    assert!(took >= Duration::from_millis(290), "{took:?}");
    front.expect("http.t.downstream_rq_tx_reset", 1).await;
    front.expect("http.t.downstream_rq_rx_reset", 1).await;
    front.expect("http.t.downstream_cx_delayed_close_timeout", 1).await;
    front.expect("cluster.app.upstream_cx_protocol_error", 1).await;
    front.expect("cluster.app.upstream_cx_destroy_remote_with_active_rq", 1).await;
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_closes() {
    let app = answers(Duration::ZERO, OK).await;
    let manager = "          delayed_close_timeout: 0.1s";
    let front = Front::start(app, Parts { manager, ..Parts::default() }).await;
    let mut client = front.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nab").await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(!answer.contains("x-envoy-upstream-service-time"), "{answer}");
    client.rest().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let app = app(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n").await;
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    })
    .await;
    // Also one whose connection has been told to end, and has had its time for that.
    let drained = "          common_http_protocol_options: {max_connection_duration: 0.05s}\n\
        \x20         drain_timeout: 0.05s";
    for (more, ended) in [("", 0), (drained, 1)] {
        let manager = format!(
            "          stream_idle_timeout: 0.3s\n          delayed_close_timeout: 0.1s\n{more}"
        );
        let parts = Parts { manager: &manager, route: "timeout: 0s,", ..Parts::default() };
        let front = Front::start(app, parts).await;
        let mut client = front.connect().await;
        client.send(GET).await;
        front.expect("http.t.downstream_rq_idle_timeout", 1).await;
        front.expect("http.t.downstream_cx_max_duration_reached", ended).await;
        front.expect("http.t.downstream_cx_active", 0).await;
        front.expect("cluster.app.upstream_rq_active", 0).await;
        let mut taken = Vec::new();
        let _ = client.0.read_to_end(&mut taken).await;
        assert!(taken.len() < 999_999_999);
    }
}
