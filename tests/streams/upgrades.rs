use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::front::{Client, Front, Parts, answers, app};

const WEBSOCKET: &str = "          upgrade_configs: [{upgrade_type: websocket}]";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n";

fn handshake(early: &str) -> String {
    format!(
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n{early}"
    )
}

/// Switches protocols, then sends back what it gets; `bye` ends it.
async fn echo(mut stream: TcpStream, head: String) {
    let _ = stream.write_all(SWITCHED.as_bytes()).await;
    let mut buf = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut buf).await {
        let _ = stream.write_all(&buf[..count]).await;
        if buf[..count].ends_with(b"head?") {
            let _ = stream.write_all(head.as_bytes()).await;
        }
        if buf[..count].ends_with(b"bye") {
            return;
        }
    }
}

async fn switched(front: &Front, early: &str) -> Client {
    let mut client = front.connect().await;
    client.send(&handshake(early)).await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nconnection: upgrade\r\n"), "{answer}");
    assert!(answer.contains("\r\nupgrade: websocket\r\n"), "{answer}");
    client
}

#[tokio::test]
async fn bytes_go_both_ways_until_the_client_leaves() {
    let app = app(echo).await;
    let front = Front::start(app, Parts { manager: WEBSOCKET, ..Parts::default() }).await;
    let mut client = switched(&front, "early").await;
    assert_eq!(client.bytes(5).await, "early");
    client.send("head?").await;
    let head = client.bytes(60).await;
    assert!(head.starts_with("head?GET /chat HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("connection: Upgrade\r\n"), "{head}");
    front.expect("http.t.downstream_cx_upgrades_active", 1).await;
    front.expect("http.t.downstream_rq_active", 1).await;
    front.expect("cluster.app.upstream_rq_active", 1).await;
    front.expect("http.t.downstream_cx_active", 1).await;
    drop(client);
    front.expect("http.t.downstream_cx_upgrades_active", 0).await;
    front.expect("http.t.downstream_cx_destroy_remote_active_rq", 1).await;
    front.expect("cluster.app.upstream_cx_destroy_local_with_active_rq", 1).await;
    front.expect("cluster.app.upstream_rq_active", 0).await;
    front.expect("http.t.downstream_cx_upgrades_total", 1).await;
    front.expect("http.t.downstream_rq_tx_reset", 0).await;
}

#[tokio::test]
async fn the_upstreams_end_is_the_clients() {
    let app = app(echo).await;
    let manager = format!("{WEBSOCKET}\n          delayed_close_timeout: 0.2s");
    let front = Front::start(app, Parts { manager: &manager, ..Parts::default() }).await;
    let mut client = switched(&front, "").await;
    client.send("bye").await;
    let (text, took) = client.rest().await;
    assert_eq!(text, "bye");
    assert!(took >= Duration::from_millis(190), "{took:?}");
    front.expect("http.t.downstream_rq_tx_reset", 1).await;
    front.expect("http.t.downstream_cx_destroy_local", 1).await;
    front.expect("http.t.downstream_cx_destroy_active_rq", 0).await;
    front.expect("cluster.app.upstream_cx_destroy_remote_with_active_rq", 1).await;
}

#[tokio::test]
async fn much_data_flows_in_both_directions_at_once() {
    const MUCH: usize = 3_000_000;
    let app = app(|stream, _| async move {
        let (mut read, mut write) = stream.into_split();
        let _ = write.write_all(SWITCHED.as_bytes()).await;
        let sent = tokio::spawn(async move {
            let _ = write.write_all(&vec![b'd'; MUCH]).await;
            write
        });
        let mut received = vec![0; MUCH];
        if read.read_exact(&mut received).await.is_ok() {
            let mut write = sent.await.unwrap();
            let _ = write.write_all(b"all").await;
        }
    })
    .await;
    let front = Front::start(app, Parts { manager: WEBSOCKET, ..Parts::default() }).await;
    let client = switched(&front, "").await;
    let (mut read, mut write) = client.0.into_split();
    let up = tokio::spawn(async move {
        write.write_all(&vec![b'u'; MUCH]).await.unwrap();
        write
    });
    let mut down = vec![0; MUCH + 3];
    let all = read.read_exact(&mut down);
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("in time").unwrap();
    assert!(down.ends_with(b"dall"));
    up.await.unwrap();
}

#[tokio::test]
async fn a_switch_that_is_not_configured_is_refused() {
    let app = app(echo).await;
    let manager = "          delayed_close_timeout: 0.1s";
    let front = Front::start(app, Parts { manager, ..Parts::default() }).await;
    let mut client = front.connect().await;
    client.send(&handshake("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(client.rest().await.0, "", "what follows may be another protocol");
    front.expect("http.t.downstream_rq_ws_on_non_ws_route", 1).await;
    front.expect("http.t.downstream_cx_upgrades_total", 0).await;
    front.expect("cluster.app.upstream_rq_total", 0).await;
}

#[tokio::test]
async fn a_route_has_the_last_word() {
    let off = "upgrade_configs: [{upgrade_type: WebSocket, enabled: false}],";
    let parts = Parts { manager: WEBSOCKET, route: off, ..Parts::default() };
    let front = Front::start(app(echo).await, parts).await;
    let mut client = front.connect().await;
    client.send(&handshake("")).await;
    assert!(client.answer().await.starts_with("HTTP/1.1 403 "));

    let on = "upgrade_configs: [{upgrade_type: websocket}],";
    let front = Front::start(app(echo).await, Parts { route: on, ..Parts::default() }).await;
    let mut client = switched(&front, "").await;
    client.send("hello").await;
    assert_eq!(client.bytes(5).await, "hello");
}

#[tokio::test]
async fn other_answers_than_101_are_answers() {
    let refused = "HTTP/1.1 403 No\r\ncontent-length: 2\r\nx-why: key\r\n\r\nno";
    let app = answers(Duration::ZERO, refused).await;
    let manager = format!("{WEBSOCKET}\n          delayed_close_timeout: 0.1s");
    let parts = Parts { manager: &manager, ..Parts::default() };
    let front = Front::start(app, parts).await;
    let mut client = front.connect().await;
    client.send(&handshake("")).await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.ends_with("\r\n\r\nno"), "{answer}");
    client.rest().await;
    front.expect("http.t.downstream_cx_upgrades_active", 0).await;
    front.expect("cluster.app.upstream_rq_403", 1).await;

    // A success is none for a WebSocket handshake.
    let page = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-why: page\r\n\r\nno";
    let front = Front::start(answers(Duration::ZERO, page).await, parts).await;
    let mut client = front.connect().await;
    client.send(&handshake("")).await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("x-why: page\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    client.rest().await;
    front.expect("cluster.app.upstream_rq_completed", 0).await;
}

#[tokio::test]
async fn a_101_that_nobody_asked_for_is_an_answer_like_any_other() {
    let app = answers(Duration::ZERO, SWITCHED).await;
    let front = Front::start(app, Parts { manager: WEBSOCKET, ..Parts::default() }).await;
    let mut client = front.connect().await;
    // The second is pipelined: hyper is done with the connection after the first 101.
    client.send(&"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2)).await;
    for _ in 0..2 {
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(!answer.contains("upgrade"), "{answer}");
    }
    assert!(client.is_open().await);
    front.expect("http.t.downstream_cx_total", 1).await;
    front.expect("http.t.downstream_rq_total", 2).await;
}

#[tokio::test]
async fn a_tunnel_has_an_idle_timeout_but_no_route_timeout() {
    let app = app(echo).await;
    let manager = format!("{WEBSOCKET}\n          delayed_close_timeout: 0.1s");
    let route = "timeout: 0.2s, idle_timeout: 0.6s,";
    let front = Front::start(app, Parts { manager: &manager, route, ..Parts::default() }).await;
    let mut client = switched(&front, "").await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.send("x").await;
        assert_eq!(client.bytes(1).await, "x");
    }
    let (text, took) = client.rest().await;
    assert_eq!(text, "");
    assert!(took >= Duration::from_millis(550), "{took:?}");
    front.expect("http.t.downstream_rq_idle_timeout", 1).await;
    front.expect("cluster.app.upstream_rq_timeout", 0).await;
}

#[tokio::test]
async fn the_route_timeout_counts_until_the_switch() {
    let app = answers(Duration::from_secs(3), SWITCHED).await;
    let route = "timeout: 0.2s,";
    let front = Front::start(app, Parts { manager: WEBSOCKET, route, ..Parts::default() }).await;
    let mut client = front.connect().await;
    client.send(&handshake("")).await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn shutdown_leaves_a_tunnel_until_the_deadline() {
    let (http1, (http2, _told)) = (app(echo).await, http2_app().await);
    for (app, cluster) in [(http1, ""), (http2, HTTP2)] {
        let parts = Parts { manager: WEBSOCKET, cluster, ..Parts::default() };
        let front = Front::start(app, parts).await;
        let mut client = switched(&front, "").await;
        let stopped = tokio::spawn(front.shutdown());
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.send("still").await;
        assert_eq!(client.bytes(5).await, "still");
        let (text, _) = client.rest().await;
        assert_eq!(text, "");
        stopped.await.unwrap();
    }
}

#[tokio::test]
async fn a_connect_tunnel_outlives_the_route_timeout() {
    // One that the upstream grants, and one that ends here.
    let granting = app(|mut stream, head| async move {
        if head.starts_with("CONNECT ") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        }
        let mut buf = [0; 64];
        while let Ok(count @ 1..) = stream.read(&mut buf).await {
            let _ = stream.write_all(&buf[..count]).await;
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.into_split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    for (app, config) in [(granting.await, ""), (tcp, ", connect_config: {}")] {
        let route = format!("timeout: 0.2s, upgrade_configs: [{{upgrade_type: CONNECT{config}}}],");
        let matching = "{connect_matcher: {}}";
        // The last request of its connection, which an answer would say.
        let manager = "          common_http_protocol_options: {max_requests_per_connection: 1}";
        let parts = Parts { matching, route: &route, manager, ..Parts::default() };
        let front = Front::start(app, parts).await;
        let mut client = front.connect().await;
        client.send("CONNECT a.example:25 HTTP/1.1\r\nHost: a.example:25\r\n\r\n").await;
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            client.send("x").await;
            assert_eq!(client.bytes(1).await, "x");
        }
        front.expect("http.t.downstream_cx_upgrades_active", 1).await;
        front.expect("cluster.app.upstream_rq_timeout", 0).await;
        drop(client);
        front.expect("http.t.downstream_cx_upgrades_active", 0).await;
        front.expect("cluster.app.upstream_rq_active", 0).await;
    }
}

#[tokio::test]
async fn connect_becomes_a_tcp_tunnel() {
    // Speaks first, and no HTTP.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(b"220 ready\n").await;
                let mut line = [0; 4];
                if stream.read_exact(&mut line).await.is_ok() {
                    let _ = stream.write_all(&line).await;
                }
            });
        }
    });
    let route = "upgrade_configs: [{upgrade_type: CONNECT, connect_config: {}}],";
    let matching = "{connect_matcher: {}}";
    let front = Front::start(app, Parts { matching, route, ..Parts::default() }).await;
    let mut client = front.connect().await;
    client.send("CONNECT mail.example:25 HTTP/1.1\r\nHost: mail.example:25\r\n\r\n").await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains("content-length"), "{answer}");
    assert_eq!(client.bytes(10).await, "220 ready\n");
    client.send("EHLO").await;
    assert_eq!(client.rest().await.0, "EHLO");
    front.expect("cluster.app.upstream_cx_total", 1).await;
    front.expect("cluster.app.upstream_cx_active", 0).await;
}

#[tokio::test]
async fn a_tcp_tunnel_ends_when_its_endpoint_fails_if_that_is_wanted() {
    for ends in [true, false] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app = listener.local_addr().unwrap();
        // Listens for as long as nobody has said anything.
        tokio::spawn(async move {
            let (said, mut quiet) = tokio::sync::mpsc::channel::<()>(1);
            loop {
                let mut stream = tokio::select! {
                    Ok((stream, _)) = listener.accept() => stream,
                    _ = quiet.recv() => return,
                };
                let said = said.clone();
                tokio::spawn(async move {
                    let mut line = [0; 4];
                    while stream.read_exact(&mut line).await.is_ok() {
                        let _ = stream.write_all(&line).await;
                        let _ = said.try_send(());
                    }
                });
            }
        });
        let cluster = format!(
            "    close_connections_on_host_health_failure: {ends}
    health_checks:
    - {{timeout: 5s, interval: 0.01s, no_traffic_interval: 0.01s, unhealthy_threshold: 1, healthy_threshold: 1, tcp_health_check: {{}}}}"
        );
        let route = "upgrade_configs: [{upgrade_type: CONNECT, connect_config: {}}],";
        let matching = "{connect_matcher: {}}";
        let front =
            Front::start(app, Parts { matching, route, cluster: &cluster, ..Parts::default() });
        let front = front.await;
        let mut client = front.connect().await;
        client.send("CONNECT a:25 HTTP/1.1\r\nHost: a:25\r\n\r\n").await;
        assert!(client.answer().await.starts_with("HTTP/1.1 200 "));
        client.send("stop").await;
        assert_eq!(client.bytes(4).await, "stop");
        front.expect("cluster.app.membership_healthy", 0).await;
        if ends {
            assert_eq!(client.rest().await.0, "");
            front.expect("cluster.app.upstream_cx_destroy_local", 1).await;
        } else {
            client.send("more").await;
            assert_eq!(client.bytes(4).await, "more");
        }
    }
}

#[tokio::test]
async fn websocket_over_http2_is_an_upgrade_further_in() {
    let app = app(echo).await;
    let manager = format!(
        "{WEBSOCKET}\n          codec_type: HTTP2\n          http2_protocol_options: {{allow_connect: true}}"
    );
    let front = Front::start(app, Parts { manager: &manager, ..Parts::default() }).await;
    let stream = front.connect().await.0;
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    // The client learns of the extension with the first settings.
    let request = || {
        let mut request = Request::connect("http://a/chat").body(Empty::<Bytes>::new()).unwrap();
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        request
    };
    send.ready().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut response = send.send_request(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("upgrade"));
    assert!(!response.headers().contains_key("connection"));
    let mut tunnel = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    tunnel.write_all(b"head?").await.unwrap();
    let mut head = vec![0; 60];
    tunnel.read_exact(&mut head).await.unwrap();
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("head?GET /chat HTTP/1.1\r\n"), "{head}");
    front.expect("http.t.downstream_cx_upgrades_active", 1).await;
    front.expect("http.t.downstream_rq_1xx", 1).await;
    tunnel.write_all(b"bye").await.unwrap();
    let mut rest = Vec::new();
    tunnel.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"bye"));
    front.expect("http.t.downstream_cx_upgrades_active", 0).await;
    front.expect("cluster.app.upstream_rq_active", 0).await;
}

const HTTP2: &str = "    typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {allow_connect: true}}}}";

/// An upstream that speaks HTTP/2, grants tunnels and sends back what comes through; `bye` ends one,
/// `rst` resets it, and `/no` gets none. Says with what it was asked.
async fn http2_app() -> (std::net::SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut builder = h2::server::Builder::new();
            let mut connection = builder.enable_connect_protocol().handshake(stream).await.unwrap();
            let tell = tell.clone();
            tokio::spawn(async move {
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let protocol = request.extensions().get::<h2::ext::Protocol>();
                    let protocol = protocol.map_or("-", |protocol| protocol.as_str());
                    let headers = request.headers();
                    let _ = tell.send(format!(
                        "{} {} {protocol} {} {}",
                        request.method(),
                        request.uri(),
                        headers.contains_key("upgrade") || headers.contains_key("connection"),
                        headers.contains_key("sec-websocket-key"),
                    ));
                    tokio::spawn(tunnel(request, respond));
                }
            });
        }
    });
    (address, told)
}

async fn tunnel(request: Request<h2::RecvStream>, mut respond: h2::server::SendResponse<Bytes>) {
    let mut answer = http::Response::new(());
    let refused = request.uri().path() == "/no";
    if refused {
        *answer.status_mut() = http::StatusCode::FORBIDDEN;
    }
    let mut send = respond.send_response(answer, refused).unwrap();
    let mut body = request.into_body();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        if data.ends_with(b"rst") {
            return send.send_reset(h2::Reason::CANCEL);
        }
        let bye = data.ends_with(b"bye");
        if send.send_data(data, bye).is_err() {
            return;
        }
        // Goes on reading: the other half ends when the proxy ends it.
    }
}

#[tokio::test]
async fn a_websocket_becomes_a_stream_of_an_http2_upstream() {
    let (app, mut told) = http2_app().await;
    let manager = format!("{WEBSOCKET}\n          delayed_close_timeout: 0.1s");
    let route = "timeout: 0.2s,";
    let parts = Parts { manager: &manager, route, cluster: HTTP2, ..Parts::default() };
    let front = Front::start(app, parts).await;
    for (n, end) in [(1, "bye"), (2, "rst")] {
        let mut client = switched(&front, "early").await;
        let asked = told.recv().await.unwrap();
        assert_eq!(asked, "CONNECT http://a/chat websocket false true");
        assert_eq!(client.bytes(5).await, "early");
        // Longer than the route's timeout.
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            client.send("x").await;
            assert_eq!(client.bytes(1).await, "x");
        }
        front.expect("http.t.downstream_cx_upgrades_active", 1).await;
        front.expect("cluster.app.upstream_rq_active", 1).await;
        client.send(end).await;
        assert_eq!(client.rest().await.0, if end == "bye" { "bye" } else { "" });
        front.expect("cluster.app.upstream_rq_101", n).await;
        front.expect("cluster.app.upstream_rq_active", 0).await;
        front.expect("http.t.downstream_cx_upgrades_active", 0).await;
        front.expect("http.t.downstream_rq_tx_reset", n - 1).await;
        front.expect("cluster.app.upstream_rq_rx_reset", n - 1).await;
        front.expect("cluster.app.upstream_rq_tx_reset", 1).await;
    }
    // The client leaves.
    let mut client = switched(&front, "").await;
    client.send("x").await;
    assert_eq!(client.bytes(1).await, "x");
    drop(client);
    front.expect("cluster.app.upstream_rq_tx_reset", 2).await;
    front.expect("cluster.app.upstream_rq_active", 0).await;
    front.expect("http.t.downstream_rq_tx_reset", 1).await;
    front.expect("cluster.app.upstream_cx_total", 1).await;
}

#[tokio::test]
async fn an_http2_upstream_may_refuse_a_tunnel() {
    let (app, _told) = http2_app().await;
    let manager = format!("{WEBSOCKET}\n          delayed_close_timeout: 0.1s");
    let parts = Parts { manager: &manager, cluster: HTTP2, ..Parts::default() };
    let front = Front::start(app, parts).await;
    let mut client = front.connect().await;
    client.send(&handshake("").replace("/chat", "/no")).await;
    let (answer, _) = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(!answer.contains("upgrade"), "{answer}");
    front.expect("http.t.downstream_cx_upgrades_active", 0).await;
    front.expect("cluster.app.upstream_rq_active", 0).await;
}

#[tokio::test]
async fn a_connect_becomes_a_stream_of_an_http2_upstream() {
    let (app, mut told) = http2_app().await;
    let route = "upgrade_configs: [{upgrade_type: CONNECT}],";
    let matching = "{connect_matcher: {}}";
    let parts = Parts { matching, route, cluster: HTTP2, ..Parts::default() };
    let front = Front::start(app, parts).await;
    let mut client = front.connect().await;
    client.send("CONNECT b.example:25 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(told.recv().await.unwrap(), "CONNECT b.example:25 - false false");
    client.send("x").await;
    assert_eq!(client.bytes(1).await, "x");
}

#[tokio::test]
async fn a_websocket_over_http2_stays_one() {
    let (app, mut told) = http2_app().await;
    let manager = format!("{WEBSOCKET}\n          http2_protocol_options: {{allow_connect: true}}");
    let parts = Parts { manager: &manager, cluster: HTTP2, ..Parts::default() };
    let front = Front::start(app, parts).await;
    let stream = front.connect().await.0;
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::connect("http://a/chat").body(()).unwrap();
    request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    let (response, mut up) = send.send_request(request, false).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(told.recv().await.unwrap(), "CONNECT http://a/chat websocket false false");
    let mut down = response.into_body();
    for text in ["hello", "bye"] {
        up.send_data(Bytes::from_static(text.as_bytes()), false).unwrap();
        assert_eq!(down.data().await.unwrap().unwrap(), text);
    }
    assert!(down.data().await.is_none());
    front.expect("http.t.downstream_cx_upgrades_active", 0).await;
    front.expect("cluster.app.upstream_rq_active", 0).await;
}

#[tokio::test]
async fn what_follows_a_handshake_waits_for_the_switch_whatever_its_length() {
    let bodies =
        [("content-length: 5", "body!"), ("transfer-encoding: chunked", "5\r\nbody!\r\n0\r\n\r\n")];
    for (framing, body) in bodies {
        let front =
            Front::start(app(echo).await, Parts { manager: WEBSOCKET, ..Parts::default() }).await;
        let mut client = front.connect().await;
        let head = handshake("").replace("GET", "POST");
        client.send(&head.replace("\r\n\r\n", &format!("\r\n{framing}\r\n\r\n"))).await;
        client.send(body).await;
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert_eq!(client.bytes(body.len()).await, body);
        client.send("after").await;
        assert_eq!(client.bytes(5).await, "after");
    }
    // Refused: it is not taken for another request.
    let refused = "HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno";
    let manager = format!("{WEBSOCKET}\n          delayed_close_timeout: 0.1s");
    let app = answers(Duration::ZERO, refused).await;
    let front = Front::start(app, Parts { manager: &manager, ..Parts::default() }).await;
    let mut client = front.connect().await;
    let head = handshake("").replace("\r\n\r\n", "\r\ncontent-length: 40\r\n\r\n");
    client.send(&format!("{head}GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    let (answers, _) = client.rest().await;
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    front.expect("cluster.app.upstream_rq_total", 1).await;
}

#[tokio::test]
async fn a_switch_is_tried_again_as_other_requests_are() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let app = app(move |mut stream, head| {
        let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if first {
                let busy = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";
                let _ = stream.write_all(busy).await;
            } else {
                echo(stream, head).await;
            }
        }
    })
    .await;
    let route = "retry_policy: {retry_on: 5xx, num_retries: 2},";
    let front = Front::start(app, Parts { manager: WEBSOCKET, route, ..Parts::default() }).await;
    let mut client = switched(&front, "early").await;
    assert_eq!(client.bytes(5).await, "early");
    assert_eq!(tries.load(Ordering::Relaxed), 2);
    front.expect("cluster.app.upstream_rq_retry_success", 1).await;
    front.expect("http.t.downstream_cx_upgrades_total", 1).await;
}

#[tokio::test]
async fn a_switch_without_a_route_counts_and_is_not_found() {
    let parts = Parts { manager: WEBSOCKET, matching: "{prefix: /elsewhere}", ..Parts::default() };
    let front = Front::start(app(echo).await, parts).await;
    let mut client = front.connect().await;
    client.send(&handshake("")).await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    front.expect("http.t.downstream_cx_upgrades_total", 1).await;
    front.expect("http.t.downstream_cx_upgrades_active", 0).await;
}
