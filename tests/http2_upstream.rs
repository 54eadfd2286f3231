//! HTTP/2 towards upstreams, and gRPC through the proxy.

mod http2_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::{Builder, SendResponse};
use http::{HeaderMap, Request, Response};
use http2_support::*;
use tokio::net::TcpListener;

const HTTP2: &str = "http2_protocol_options: {}";

/// Cluster options with `common` and `http2` in their places.
fn cluster(common: &str, http2: &str) -> String {
    format!(
        "typed_extension_protocol_options:\n      \
         envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n        \
         '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n        \
         common_http_protocol_options: {{{common}}}\n        \
         explicit_http_config: {{http2_protocol_options: {{{http2}}}}}"
    )
}

/// Answers with the number of the connection.
async fn numbered(builder: Builder, delay: Duration) -> std::net::SocketAddr {
    app_http2(builder, move |number, _, mut respond| async move {
        tokio::time::sleep(delay).await;
        let Ok(mut stream) = respond.send_response(Response::new(()), false) else { return };
        let _ = stream.send_data(Bytes::from(number.to_string()), true);
    })
    .await
}

async fn body(client: &Client, path: &str) -> String {
    let reply = client.get(path).await.expect("an answer");
    assert_eq!(reply.status, 200, "{reply:?}");
    String::from_utf8(reply.body).expect("text")
}

#[tokio::test]
async fn resets_before_the_head() {
    let upstream = app_http2(Builder::new(), |_, request, mut respond| async move {
        match request.uri().path() {
            "/refuse" => respond.send_reset(Reason::REFUSED_STREAM),
            "/cancel" => respond.send_reset(Reason::CANCEL),
            _ => {
                let _ = respond.send_response(Response::new(()), true);
            }
        }
    })
    .await;
    let proxy = Proxy::start(upstream, "", HTTP2).await;
    let client = Client::connect(proxy.address).await;
    for (path, says) in [("/refuse", "remote refused stream reset"), ("/cancel", "remote reset")] {
        let reply = client.get(path).await.expect("an answer");
        assert_eq!(reply.status, 503);
        let text = String::from_utf8(reply.body).expect("text");
        assert!(text.ends_with(&format!("reset reason: {says}")), "{text}");
    }
    assert_eq!(client.get("/fine").await.expect("an answer").status, 200);
    assert_eq!(proxy.stat("cluster.app.http2.rx_reset"), 2);
    assert_eq!(proxy.stat("cluster.app.upstream_rq_rx_reset"), 1, "a refusal is none");
    assert_eq!(proxy.stat("cluster.app.upstream_cx_total"), 1);
    assert_eq!(proxy.stat("cluster.app.http2.nghttp2_upstream_connections"), 1);
    proxy.until("cluster.app.http2.streams_active", 0).await;
}

#[tokio::test]
async fn a_reset_inside_the_body_is_passed_on() {
    let upstream = app_http2(Builder::new(), |_, _, mut respond| async move {
        let mut stream = respond.send_response(Response::new(()), false).expect("sends");
        stream.send_data(Bytes::from_static(b"half"), false).expect("sends");
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.send_reset(Reason::CANCEL);
    })
    .await;
    let proxy = Proxy::start(upstream, "", HTTP2).await;
    let error = Client::connect(proxy.address).await.get("/").await.expect_err("a reset");
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    assert_eq!(proxy.stat("cluster.app.upstream_rq_rx_reset"), 1);
    assert_eq!(proxy.stat("http.in.downstream_rq_tx_reset"), 1);
    assert_eq!(proxy.stat("cluster.app.upstream_cx_active"), 1);
}

/// `h2` does not tell a response that was cut by it from one that was whole.
#[tokio::test]
async fn a_reset_without_an_error_ends_only_what_was_whole() {
    let upstream = app_http2(Builder::new(), |_, request, mut respond| async move {
        let mut stream = respond.send_response(Response::new(()), false).expect("sends");
        let whole = request.uri().path() == "/whole";
        stream.send_data(Bytes::from_static(b"half"), whole).expect("sends");
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.send_reset(Reason::NO_ERROR);
    })
    .await;
    let proxy = Proxy::start(upstream, "", HTTP2).await;
    let client = Client::connect(proxy.address).await;
    let error = client.get("/cut").await.expect_err("a reset");
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    assert_eq!(proxy.stat("cluster.app.upstream_rq_rx_reset"), 1);
    assert_eq!(proxy.stat("http.in.downstream_rq_tx_reset"), 1);
    assert_eq!(body(&client, "/whole").await, "half");

    // Envoy resets what is left of the request itself, before it sees that it needn't.
    let request = Request::post("http://a.example/whole").body(()).expect("a request");
    let (response, _stream) = client.open(request, false).await;
    let mut answer = response.await.expect("an answer").into_body();
    assert_eq!(answer.data().await.expect("data").expect("whole"), "half");
    assert!(answer.data().await.is_none_or(|end| end.is_err()));
    proxy.until("cluster.app.upstream_rq_tx_reset", 1).await;
    assert_eq!(proxy.stat("cluster.app.upstream_rq_rx_reset"), 1);
    assert_eq!(proxy.stat("cluster.app.upstream_rq_rx_reset_no_error"), 0, "as in Envoy");
}

#[tokio::test]
async fn a_client_that_leaves_resets_the_upstream_stream() {
    let upstream = numbered(Builder::new(), Duration::from_secs(60)).await;
    let proxy = Proxy::start(upstream, "", HTTP2).await;
    let client = Client::connect(proxy.address).await;
    let request = Request::get("http://a.example/").body(()).expect("a request");
    let (response, mut stream) = client.open(request, true).await;
    proxy.until("cluster.app.upstream_rq_active", 1).await;
    stream.send_reset(Reason::CANCEL);
    drop(response);
    proxy.until("cluster.app.upstream_rq_active", 0).await;
    proxy.until("cluster.app.http2.tx_reset", 1).await;
    assert_eq!(proxy.stat("cluster.app.upstream_rq_tx_reset"), 1);
    assert_eq!(proxy.stat("http.in.downstream_rq_rx_reset"), 1);
    assert_eq!(proxy.stat("http2.rx_reset"), 1);
    assert_eq!(proxy.stat("cluster.app.upstream_cx_active"), 1, "the connection stays");
}

#[tokio::test]
async fn after_a_goaway_another_connection_is_made() {
    let upstream = numbered(Builder::new(), Duration::from_millis(20)).await;
    let proxy = Proxy::start(upstream, "", HTTP2).await;
    let client = Client::connect(proxy.address).await;
    assert_eq!(body(&client, "/").await, "0");
    assert_eq!(body(&client, "/leave").await, "0", "what is under way ends");
    proxy.until("cluster.app.upstream_cx_close_notify", 1).await;
    assert_eq!(body(&client, "/").await, "1");
    proxy.until("cluster.app.upstream_cx_destroy", 1).await;
    assert_eq!(proxy.stat("cluster.app.upstream_cx_destroy_with_active_rq"), 0);
}

#[tokio::test]
async fn more_requests_than_streams_need_more_connections() {
    let mut builder = Builder::new();
    builder.max_concurrent_streams(2);
    let upstream = numbered(builder, Duration::from_millis(200)).await;
    let proxy = Proxy::start(upstream, "", HTTP2).await;
    let client = Client::connect(proxy.address).await;
    body(&client, "/").await;
    let requests: Vec<_> = (0..5)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { body(&client, "/").await })
        })
        .collect();
    let mut numbers = Vec::new();
    for request in requests {
        numbers.push(request.await.expect("an answer"));
    }
    numbers.sort();
    assert!(numbers.iter().filter(|n| **n == "0").count() <= 2, "{numbers:?}");
    assert!(proxy.stat("cluster.app.upstream_cx_total") >= 2);
    assert_eq!(proxy.stat("cluster.app.upstream_rq_200"), 6);
}

#[tokio::test]
async fn connections_end_by_use_by_age_and_by_idleness() {
    let fast = Duration::ZERO;
    let upstream = numbered(Builder::new(), fast).await;
    let proxy = Proxy::start(upstream, "", &cluster("max_requests_per_connection: 2", "")).await;
    let client = Client::connect(proxy.address).await;
    let mut numbers = Vec::new();
    for _ in 0..5 {
        numbers.push(body(&client, "/").await);
    }
    assert_eq!(numbers, ["0", "0", "1", "1", "2"]);
    assert_eq!(proxy.stat("cluster.app.upstream_cx_max_requests"), 2);
    proxy.until("cluster.app.upstream_cx_active", 1).await;

    for (common, stat) in [
        ("idle_timeout: 0.1s", "upstream_cx_idle_timeout"),
        ("max_connection_duration: 0.1s", "upstream_cx_max_duration_reached"),
    ] {
        let upstream = numbered(Builder::new(), fast).await;
        let proxy = Proxy::start(upstream, "", &cluster(common, "")).await;
        let client = Client::connect(proxy.address).await;
        assert_eq!(body(&client, "/").await, "0");
        proxy.until("cluster.app.upstream_cx_destroy_local", 1).await;
        assert_eq!(proxy.stat(&format!("cluster.app.{stat}")), 1);
        assert_eq!(body(&client, "/").await, "1");
    }
}

#[tokio::test]
async fn an_upstream_that_answers_no_ping_is_given_up() {
    // It takes connections and reads nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let upstream = listener.local_addr().expect("an address");
    let keepalive = "connection_keepalive: {interval: 0.1s, timeout: 0.1s}";
    let proxy = Proxy::start(upstream, "", &cluster("", keepalive)).await;
    let reply = Client::connect(proxy.address).await.get("/").await.expect("an answer");
    assert_eq!(reply.status, 503);
    assert_eq!(proxy.stat("cluster.app.http2.keepalive_timeout"), 1);
    assert_eq!(proxy.stat("cluster.app.upstream_rq_pending_failure_eject"), 1);
    proxy.until("cluster.app.upstream_cx_destroy_local_with_active_rq", 1).await;
}

#[tokio::test]
async fn an_upstream_that_does_not_speak_http2() {
    let proxy = Proxy::start(echo_http1().await, "", HTTP2).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let garbage = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    drop(proxy);
    let proxy = Proxy::start(garbage, "", HTTP2).await;
    let reply = Client::connect(proxy.address).await.get("/").await.expect("an answer");
    assert_eq!(reply.status, 502, "{reply:?}");
    assert_eq!(proxy.stat("cluster.app.upstream_cx_protocol_error"), 1);
}

#[tokio::test]
async fn large_bodies_go_both_ways_at_once() {
    let upstream = app_http2(Builder::new(), |_, request, mut respond| async move {
        let mut stream = respond.send_response(Response::new(()), false).expect("sends");
        let mut body = request.into_body();
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
            stream.send_data(data, false).expect("sends");
        }
        stream.send_data(Bytes::new(), true).expect("sends");
    })
    .await;
    let windows = "initial_stream_window_size: 65535, initial_connection_window_size: 65535";
    let manager = format!("http2_protocol_options: {{{windows}}}");
    let proxy = Proxy::start(upstream, &manager, &cluster("", windows)).await;
    let client = Client::connect(proxy.address).await;
    let request = Request::post("http://a.example/").body(()).expect("a request");
    let (response, mut stream) = client.open(request, false).await;
    let sent = tokio::spawn(async move {
        let piece = Bytes::from(vec![b'x'; 10_000]);
        for _ in 0..500 {
            stream.reserve_capacity(piece.len());
            while stream.capacity() < piece.len() {
                let more = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
                more.expect("open").expect("no error");
            }
            stream.send_data(piece.clone(), false).expect("sends");
        }
        stream.send_data(Bytes::new(), true).expect("sends");
    });
    let reply = async { collect(response.await.expect("a response")).await.expect("a body") };
    let reply = tokio::time::timeout(Duration::from_secs(20), reply).await;
    assert_eq!(reply.expect("no standstill").body.len(), 5_000_000);
    sent.await.expect("all sent");
}

#[tokio::test]
async fn an_upstream_is_told_the_clients_scheme() {
    let scheme = |request: &Request<h2::RecvStream>| {
        request.uri().scheme_str().unwrap_or_default().to_owned()
    };
    let upstream =
        app_http2(Builder::new(), move |_, request, mut respond: SendResponse<Bytes>| async move {
            let head = Response::builder().header("x-scheme", scheme(&request));
            respond.send_response(head.body(()).expect("a head"), true).expect("sends");
        });
    let proxy = Proxy::start(upstream.await, "", &cluster("", "")).await;
    let client = Client::connect(proxy.address).await;
    for (scheme, proto, want) in [
        ("http", None, "http"),
        ("https", None, "https"),
        ("https", Some("http"), "https"),
        ("http", Some("https"), "http"),
    ] {
        let mut request = Request::get(format!("{scheme}://a.example/"));
        if let Some(proto) = proto {
            request = request.header("x-forwarded-proto", proto);
        }
        let (response, _) = client.open(request.body(()).expect("a request"), true).await;
        let response = response.await.expect("a response");
        assert_eq!(response.headers()["x-scheme"], want, "{scheme} {proto:?}");
    }
}

/// A gRPC-like app: streams back what it gets, or answers with trailers only.
async fn grpc_app(seen: Arc<AtomicUsize>) -> std::net::SocketAddr {
    app_http2(Builder::new(), move |_, request: Request<h2::RecvStream>, respond| {
        let seen = Arc::clone(&seen);
        async move {
            assert_eq!(request.headers()["te"], "trailers");
            serve_grpc(request, respond, &seen).await;
        }
    })
    .await
}

async fn serve_grpc(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    seen: &AtomicUsize,
) {
    let head = Response::builder().header("content-type", "application/grpc");
    if request.uri().path() == "/app.Echo/Fail" {
        let head = head.header("grpc-status", "5").header("grpc-message", "nothing here");
        respond.send_response(head.body(()).expect("a head"), true).expect("sends");
        return;
    }
    let mut body = request.into_body();
    let mut stream = respond.send_response(head.body(()).expect("a head"), false).expect("sends");
    while let Some(Ok(message)) = body.data().await {
        let _ = body.flow_control().release_capacity(message.len());
        seen.fetch_add(1, Ordering::Relaxed);
        stream.send_data(message, false).expect("sends");
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("a value"));
    if let Ok(Some(sent)) = body.trailers().await {
        trailers.extend(sent);
    }
    stream.send_trailers(trailers).expect("sends");
}

fn grpc(method: &str) -> Request<()> {
    Request::post(format!("http://a.example/app.Echo/{method}"))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .body(())
        .expect("a request")
}

#[tokio::test]
async fn grpc_streams_both_ways() {
    let seen = Arc::new(AtomicUsize::new(0));
    let proxy = Proxy::start(grpc_app(Arc::clone(&seen)).await, "", HTTP2).await;
    let client = Client::connect(proxy.address).await;
    let (response, mut stream) = client.open(grpc("Chat"), false).await;
    stream.send_data(Bytes::from_static(b"\0\0\0\0\x01a"), false).expect("sends");
    let response = response.await.expect("a head before the request has ended");
    assert_eq!(response.headers()["content-type"], "application/grpc");
    let mut body = response.into_body();
    assert_eq!(body.data().await.expect("a message").expect("no error"), "\0\0\0\0\x01a");
    // Each message comes back before the next is sent: nothing waits for an end.
    for n in b'b'..b'k' {
        let message = Bytes::copy_from_slice(&[0, 0, 0, 0, 1, n]);
        stream.send_data(message.clone(), false).expect("sends");
        assert_eq!(body.data().await.expect("a message").expect("no error"), message);
        let _ = body.flow_control().release_capacity(message.len());
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sent", "10".parse().expect("a value"));
    stream.send_trailers(trailers).expect("sends");
    assert!(body.data().await.is_none());
    let trailers = body.trailers().await.expect("no error").expect("trailers");
    assert_eq!(
        (&trailers["grpc-status"], &trailers["x-sent"]),
        (&"0".parse().unwrap(), &"10".parse().unwrap())
    );
    assert_eq!(seen.load(Ordering::Relaxed), 10);
    assert_eq!(proxy.stat("http2.trailers"), 1);
}

#[tokio::test]
async fn grpc_errors_are_grpcs() {
    let proxy = Proxy::start(grpc_app(Arc::default()).await, "", HTTP2).await;
    let client = Client::connect(proxy.address).await;
    let (response, _stream) = client.open(grpc("Fail"), false).await;
    let reply = collect(response.await.expect("a response")).await.expect("no error");
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert_eq!(reply.headers["grpc-status"], "5");
    assert_eq!(reply.headers["grpc-message"], "nothing here");

    // Those that the proxy makes too.
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let upstream = closed.local_addr().expect("an address");
    drop(closed);
    let proxy = Proxy::start(upstream, "", HTTP2).await;
    let client = Client::connect(proxy.address).await;
    let (response, _) = client.open(grpc("Chat"), true).await;
    let reply = collect(response.await.expect("a response")).await.expect("no error");
    assert_eq!((reply.status, &reply.headers["grpc-status"]), (200, &"14".parse().unwrap()));
    assert_eq!(reply.headers["content-type"], "application/grpc");
    let message = reply.headers["grpc-message"].to_str().expect("text");
    assert!(message.ends_with("remote connection failure"), "{message}");
}

#[tokio::test]
async fn what_can_be_no_authority_goes_on_as_host() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let upstream = app_http2(Builder::new(), |_, request, mut respond| async move {
        let host = request.headers().get("host").cloned();
        let authority = request.uri().authority();
        let authority = authority.map(|a| a.as_str().parse().expect("a value"));
        let mut response = Response::new(());
        for (name, value) in [("x-host", host), ("x-authority", authority)] {
            if let Some(value) = value {
                response.headers_mut().insert(name, value);
            }
        }
        let _ = respond.send_response(response, true);
    })
    .await;
    let proxy = Proxy::start(upstream, "", HTTP2).await;
    for (host, told) in [
        ("front.example:80", "x-authority: front.example:80"),
        ("a%20b", "x-host: a%20b"),
        ("", "x-host: "),
    ] {
        let mut client = tokio::net::TcpStream::connect(proxy.address).await.expect("a proxy");
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
        assert!(answer.lines().any(|line| line == told), "{host}: {answer}");
    }
}

#[tokio::test]
async fn an_end_behind_the_last_byte_is_an_end() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (read, told) = tokio::sync::watch::channel(0);
    let upstream = app_http2(Builder::new(), move |_, request, mut respond| {
        let mut told = told.clone();
        async move {
            let late = request.uri().path() == "/late";
            let response = Response::builder().header("content-length", "6").body(());
            let mut stream = respond.send_response(response.unwrap(), false).unwrap();
            stream.send_data(Bytes::from_static(b"abcdef"), false).unwrap();
            if late {
                // Only when the client has it all.
                told.wait_for(|answers| *answers == 2).await.unwrap();
            }
            let trailers = [("x-t".parse().unwrap(), "1".parse().unwrap())].into_iter().collect();
            stream.send_trailers(trailers).unwrap();
        }
    })
    .await;
    let proxy = Proxy::start(upstream, "", HTTP2).await;
    let mut client = tokio::net::TcpStream::connect(proxy.address).await.expect("a proxy");
    for (path, answers) in [("/", 1), ("/late", 2)] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n");
        client.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"abcdef") {
            assert_ne!(client.read_buf(&mut answer).await.expect("more"), 0);
        }
        read.send_replace(answers);
    }
    proxy.until("cluster.app.upstream_rq_active", 0).await;
    proxy.until("http.in.downstream_rq_active", 0).await;
    for reset in ["cluster.app.upstream_rq_tx_reset", "http.in.downstream_rq_rx_reset"] {
        assert_eq!(proxy.stat(reset), 0, "{reset}");
    }
}
