//! Interim responses (1xx) of upstreams, and who is told of them: `proxy_100_continue`.

mod http2_support;

use std::future::poll_fn;
use std::net::SocketAddr;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response};
use http2_support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const HTTP2: &str = "http2_protocol_options: {}";
const PASS: &str = "proxy_100_continue: true";
const EXPECT: &str = "expect: 100-Continue\r\n";

/// Of these Envoy knows the second, and passes on the first that it knows.
const SAID: [u16; 3] = [199, 103, 100];

async fn until_blank(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await.expect("more of a head"));
    }
    String::from_utf8(read).expect("text")
}

/// Says all of [`SAID`] before it reads a body of three bytes, and then whether it was asked to.
async fn app_http1() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let asked = until_blank(&mut stream).await.contains(EXPECT);
                let said = SAID.map(|status| {
                    format!("HTTP/1.1 {status} Hint\r\nlink: </{status}>\r\nkeep-alive: a\r\n\r\n")
                });
                stream.write_all(said.concat().as_bytes()).await.expect("taken");
                let mut body = Vec::new();
                while !body.windows(3).any(|three| three == b"abc") {
                    assert_ne!(stream.read_buf(&mut body).await.expect("no error"), 0);
                }
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nasked: {asked}\r\nconnection: close\r\n\
                     content-length: 2\r\n\r\nok"
                );
                stream.write_all(answer.as_bytes()).await.expect("taken");
            });
        }
    });
    address
}

async fn serve_http2(_: usize, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let asked = request.headers().get("expect").is_some_and(|value| value == "100-Continue");
    for status in SAID {
        let head = Response::builder().status(status).header("link", format!("</{status}>"));
        respond.send_informational(head.body(()).expect("a response")).expect("sent");
    }
    let mut body = request.into_body();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
    }
    let head = Response::builder().header("asked", asked.to_string()).body(()).expect("a response");
    let mut stream = respond.send_response(head, false).expect("a stream");
    let _ = stream.send_data("ok".into(), true);
}

/// Both upstreams, with what makes the cluster speak with them.
async fn upstreams() -> [(SocketAddr, &'static str); 2] {
    let http2 = app_http2(h2::server::Builder::new(), serve_http2).await;
    [(app_http1().await, ""), (http2, HTTP2)]
}

#[tokio::test]
async fn an_http1_client_gets_the_first_that_is_known() {
    for (upstream, cluster) in upstreams().await {
        let proxy = Proxy::start(upstream, PASS, cluster).await;
        for (n, expect, asked) in [(1, EXPECT, true), (2, "", false)] {
            let mut client = TcpStream::connect(proxy.address).await.expect("connects");
            let head =
                format!("POST / HTTP/1.1\r\nhost: a.example\r\n{expect}content-length: 3\r\n\r\n");
            client.write_all(head.as_bytes()).await.expect("taken");
            let interim = until_blank(&mut client).await;
            assert_eq!(interim, "HTTP/1.1 103 Unknown\r\nlink: </103>\r\n\r\n", "{cluster}");
            client.write_all(b"abc").await.expect("taken");
            let answer = until_blank(&mut client).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.contains(&format!("asked: {asked}\r\n")), "{answer}");
            drop(client);
            proxy.until("http.in.downstream_rq_1xx", n).await;
            assert_eq!(proxy.stat("cluster.app.upstream_rq_103"), n);
            assert_eq!(proxy.stat("cluster.app.upstream_rq_1xx"), n, "the first alone counts");
        }
    }
}

#[tokio::test]
async fn an_http2_client_gets_the_first_that_is_known() {
    for (upstream, cluster) in upstreams().await {
        let proxy = Proxy::start(upstream, PASS, cluster).await;
        let client = Client::connect(proxy.address).await;
        let request = Request::post("http://a.example/").header("expect", "100-Continue");
        let (mut response, mut body) =
            client.open(request.body(()).expect("a request"), false).await;
        let interim = poll_fn(|cx| response.poll_informational(cx)).await;
        let interim = interim.expect("one").expect("no error");
        assert_eq!(interim.status(), 103);
        assert_eq!(interim.headers().len(), 1, "{:?}", interim.headers());
        body.send_data("abc".into(), true).expect("sent");
        assert!(poll_fn(|cx| response.poll_informational(cx)).await.is_none(), "no other");
        let reply = collect(response.await.expect("a response")).await.expect("all of it");
        assert_eq!((reply.status, &reply.body[..]), (200, &b"ok"[..]));
        assert_eq!(reply.headers["asked"], "true");
        assert_eq!(proxy.stat("http.in.downstream_rq_1xx"), 1);
        assert_eq!(proxy.stat("cluster.app.upstream_rq_103"), 1);
        assert_eq!(proxy.stat("cluster.app.upstream_rq_1xx"), 1, "the first alone counts");
    }
}

#[tokio::test]
async fn nobody_gets_any_unless_they_are_passed_on() {
    for (upstream, cluster) in upstreams().await {
        let proxy = Proxy::start(upstream, "", cluster).await;
        let mut client = TcpStream::connect(proxy.address).await.expect("connects");
        let request = b"POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 3\r\n\r\nabc";
        client.write_all(request).await.expect("taken");
        let answer = until_blank(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

        let client = Client::connect(proxy.address).await;
        let request = Request::post("http://a.example/").body(()).expect("a request");
        let (mut response, mut body) = client.open(request, false).await;
        body.send_data("abc".into(), true).expect("sent");
        assert!(poll_fn(|cx| response.poll_informational(cx)).await.is_none());
        assert_eq!(response.await.expect("a response").status(), 200);
    }
}
