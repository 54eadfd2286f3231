use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::front::{Front, Parts, app};

const ON: &str = "          http_protocol_options: {enable_trailers: true}";
const UPSTREAM_ON: &str = "    typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http_protocol_options: {enable_trailers: true}}}}";
const UPSTREAM_HTTP2: &str = "    typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}";

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const BODY: &str = "2\r\nok\r\n0\r\n";

/// An HTTP/1 upstream that answers with trailers, and says what it got.
async fn upstream(answer: &'static str) -> (std::net::SocketAddr, mpsc::UnboundedReceiver<String>) {
    let (tell, told) = mpsc::unbounded_channel();
    let address = app(move |mut stream: TcpStream, head| {
        let tell = tell.clone();
        async move {
            let mut body = Vec::new();
            if head.contains("chunked") {
                while !body.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    body.push(byte);
                }
            }
            let _ = tell.send(String::from_utf8(body).unwrap());
            let _ = stream.write_all(answer.as_bytes()).await;
            // Until the proxy closes.
            let _ = stream.read_u8().await;
        }
    })
    .await;
    (address, told)
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\
    X-Sum: 42\r\nx-sum: 43\r\nContent-Length: 9\r\n\r\n";

/// All that comes until the end of the chunks.
async fn chunked(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = async {
        while !(text.ends_with(b"\r\n\r\n") && text.windows(5).any(|w| w == b"\r\n0\r\n")) {
            text.push(stream.read_u8().await.unwrap());
        }
    };
    timeout(Duration::from_secs(20), read).await.expect("an end in time");
    String::from_utf8(text).unwrap()
}

async fn next(told: &mut mpsc::UnboundedReceiver<String>) -> String {
    timeout(Duration::from_secs(20), told.recv()).await.expect("in time").expect("a request")
}

#[tokio::test]
async fn trailers_pass_both_ways_where_both_sides_enable_them() {
    let (address, mut told) = upstream(ANSWER).await;
    let parts = Parts { manager: ON, cluster: UPSTREAM_ON, ..Parts::default() };
    let front = Front::start(address, parts).await;
    let mut client = front.connect().await;
    client.send(&format!("{POST}{BODY}X-T: 1\r\nHost: b\r\nx-t:2\r\n\r\n")).await;
    assert_eq!(next(&mut told).await, "2\r\nok\r\n0\r\nx-t: 1\r\nx-t: 2\r\n\r\n");
    let answer = chunked(&mut client.0).await;
    let end = "\r\n1\r\nx\r\n0\r\nx-sum: 42\r\nx-sum: 43\r\n\r\n";
    assert!(answer.ends_with(end), "{answer}");
    assert!(client.is_open().await);
}

#[tokio::test]
async fn each_side_drops_trailers_that_it_has_not_enabled() {
    for (manager, cluster) in [("", UPSTREAM_ON), (ON, ""), ("", "")] {
        let (address, mut told) = upstream(ANSWER).await;
        let front = Front::start(address, Parts { manager, cluster, ..Parts::default() }).await;
        let mut client = front.connect().await;
        // It is the listener that decides here, and no header of the client.
        client.send(&POST.replace("Host: a", "Host: a\r\nTE: trailers\r\nTrailer: x-t")).await;
        client.send(&format!("{BODY}X-T: 1\r\n\r\n")).await;
        assert_eq!(next(&mut told).await, "2\r\nok\r\n0\r\n\r\n", "{manager:?} {cluster:?}");
        let answer = chunked(&mut client.0).await;
        assert!(answer.ends_with("\r\n1\r\nx\r\n0\r\n\r\n"), "{answer}");
        assert!(client.is_open().await);
    }
}

#[tokio::test]
async fn a_body_of_a_get_passes_as_any_other() {
    for method in ["GET", "HEAD", "DELETE"] {
        let (address, mut told) = upstream("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let parts = Parts { manager: ON, cluster: UPSTREAM_ON, ..Parts::default() };
        let front = Front::start(address, parts).await;
        let mut client = front.connect().await;
        client.send(&format!("{}{BODY}x-t: 1\r\n\r\n", POST.replace("POST", method))).await;
        assert_eq!(next(&mut told).await, "2\r\nok\r\n0\r\nx-t: 1\r\n\r\n", "{method}");
        assert!(client.answer().await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn bad_trailers_of_a_request_are_refused() {
    let many: String = (0..101).map(|n| format!("x{n}: 1\r\n")).collect();
    let large = format!("x: {}\r\n", "a".repeat(61 << 10));
    let cases = [
        (ON, "bad\r\n", "400"),
        (ON, "x : 1\r\n", "400"),
        (ON, "x: \u{1}\r\n", "400"),
        (ON, &*many, "431"),
        (ON, &*large, "431"),
        ("", "bad\r\n", "400"),
        ("", &*large, "431"),
    ];
    for (manager, trailers, status) in cases {
        let (address, mut told) = upstream(ANSWER).await;
        let manager = format!("{manager}\n          delayed_close_timeout: 0.1s");
        let parts = Parts { manager: &manager, cluster: UPSTREAM_ON, ..Parts::default() };
        let front = Front::start(address, parts).await;
        let mut client = front.connect().await;
        client.send(&format!("{POST}{BODY}{trailers}\r\n")).await;
        let (answer, _) = client.rest().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{trailers:.20} {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        front.expect("http.t.downstream_cx_protocol_error", 1).await;
        // If the upstream has seen the request at all, then not its end.
        if let Ok(body) = told.try_recv() {
            assert!(!body.contains("0\r\n"), "{body}");
        }
    }
    // Those that are dropped are not counted.
    let (address, _told) = upstream(ANSWER).await;
    let front = Front::start(address, Parts::default()).await;
    let mut client = front.connect().await;
    client.send(&format!("{POST}{BODY}{many}\r\n")).await;
    assert!(chunked(&mut client.0).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn bad_trailers_of_an_answer_cut_it_off() {
    let cases = [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nbad\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx y: 1\r\n\r\n",
    ];
    for answer in cases {
        for cluster in [UPSTREAM_ON, ""] {
            let (address, _told) = upstream(answer).await;
            let manager = format!("{ON}\n          delayed_close_timeout: 0.1s");
            let parts = Parts { manager: &manager, cluster, ..Parts::default() };
            let front = Front::start(address, parts).await;
            let mut client = front.connect().await;
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            let (answer, _) = client.rest().await;
            assert!(answer.ends_with("\r\n\r\n1\r\nx\r\n"), "{answer}");
            front.expect("cluster.app.upstream_cx_protocol_error", 1).await;
        }
    }
}

#[tokio::test]
async fn large_trailers_of_an_answer_pass() {
    let answer = Box::leak(
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: {}\r\n\r\n",
            "a".repeat(50_000)
        )
        .into_boxed_str(),
    );
    let (address, _told) = upstream(answer).await;
    let parts = Parts { manager: ON, cluster: UPSTREAM_ON, ..Parts::default() };
    let front = Front::start(address, parts).await;
    let mut client = front.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = chunked(&mut client.0).await;
    assert!(answer.contains(&"a".repeat(50_000)));
}

#[tokio::test]
async fn no_trailers_where_there_are_no_chunks() {
    let (address, _told) = upstream(ANSWER).await;
    let manager = "          http_protocol_options: {enable_trailers: true, accept_http_10: true, \
        default_host_for_http_10: a}";
    let parts = Parts { manager, cluster: UPSTREAM_ON, ..Parts::default() };
    let front = Front::start(address, parts).await;
    let mut client = front.connect().await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let (answer, _) = client.rest().await;
    assert!(answer.ends_with("\r\n\r\nx"), "{answer}");
}

fn trailers(value: &'static str) -> HeaderMap {
    [("x-t".parse().unwrap(), value.parse().unwrap())].into_iter().collect()
}

#[tokio::test]
async fn trailers_pass_from_http2_to_http1_and_back() {
    let (address, mut told) = upstream(ANSWER).await;
    let parts = Parts { cluster: UPSTREAM_ON, ..Parts::default() };
    let front = Front::start(address, parts).await;
    let stream = front.connect().await.0;
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("http://a/").body(()).unwrap();
    let (response, mut body) = send.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(b"ok"), false).unwrap();
    body.send_trailers(trailers("1")).unwrap();
    assert_eq!(next(&mut told).await, "2\r\nok\r\n0\r\nx-t: 1\r\n\r\n");
    let mut body = response.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "x");
    let got = body.trailers().await.unwrap().expect("trailers");
    assert_eq!(got.get_all("x-sum").iter().collect::<Vec<_>>(), ["42", "43"]);
    assert!(!got.contains_key("content-length"));
}

#[tokio::test]
async fn trailers_pass_from_http1_to_http2_and_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut body = request.into_body();
                let mut text = String::new();
                while let Some(Ok(data)) = body.data().await {
                    text += std::str::from_utf8(&data).unwrap();
                }
                let got = body.trailers().await.unwrap();
                let _ = tell.send(format!("{text} {:?}", got.map(|t| t["x-t"].clone())));
                let mut send = respond.send_response(Response::new(()), false).unwrap();
                send.send_data(Bytes::from_static(b"x"), false).unwrap();
                send.send_trailers(trailers("2")).unwrap();
            });
        }
    });
    let parts = Parts { manager: ON, cluster: UPSTREAM_HTTP2, ..Parts::default() };
    let front = Front::start(address, parts).await;
    let mut client = front.connect().await;
    client.send(&format!("{POST}{BODY}X-T: 1\r\n\r\n")).await;
    assert_eq!(next(&mut told).await, "ok Some(\"1\")");
    let answer = chunked(&mut client.0).await;
    assert!(answer.ends_with("\r\n1\r\nx\r\n0\r\nx-t: 2\r\n\r\n"), "{answer}");
    assert!(client.is_open().await);
}
