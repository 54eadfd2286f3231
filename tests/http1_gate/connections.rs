//! How connections are told apart, time out, become tunnels, and end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use front_proxy::connection::http1::{
    GateConfig, Http1Gate, Phase, Protocol, Replay, TrackedService, delayed_close, detect,
};
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{ok, serve};

#[tokio::test(start_paused = true)]
async fn a_slow_head_can_be_timed_out() {
    let mut server = serve(GateConfig::default());
    server.state.time_out_head();
    assert_eq!(server.exchange("GET / HT").await, "");
    assert_eq!(server.state.phase(), Phase::Head);
    assert!(server.state.head_since().unwrap().elapsed() < Duration::from_secs(5));
    server.state.time_out_head();
    // The owner's timer would poll the connection; here the client does.
    let answer = server.exchange("T").await;
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\ncontent-length: 22\r\n"));
    assert!(answer.ends_with("\r\n\r\nrequest header timeout"), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_the_connection() {
    for start in [
        "",
        "GET /never HTTP/1.1\r\n\r\n",
        "GET / HTTP",
        "\r\n",
        "POST /wait HTTP/1.1\r\ncontent-length: 5\r\n\r\nab",
        "POST /wait HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\na",
    ] {
        let mut server = serve(GateConfig::default());
        assert_eq!(server.exchange(start).await, "");
        server.client.shutdown().await.unwrap();
        assert_eq!(server.receive().await, "");
        assert!(server.task.await.unwrap().is_some(), "{start:?}");
        assert!(server.state.client_closed() && !server.state.delay_close());
        // The service was dropped with the connection: it did not get to see the body break.
        assert!(!server.seen.lock().unwrap().iter().any(|line| line.contains("broken")));
    }
}

#[tokio::test(start_paused = true)]
async fn tunnels_are_transparent() {
    for head in [
        "GET /upgrade HTTP/1.1\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        "GET /upgrade HTTP/1.1\nconnection: upgrade\nupgrade: x\n\n",
        "CONNECT h:80 HTTP/1.1\r\nhost: h\r\n\r\n",
    ] {
        let mut server = serve(GateConfig::default());
        // Early bytes belong to the tunnel.
        let answer = server.exchange(format!("{head}not / http\r\n\r\n")).await;
        assert!(answer.ends_with("\r\n\r\nNOT / HTTP\r\n\r\n"), "{answer:?}");
        assert_eq!(server.state.phase(), Phase::Tunnel);
        assert_eq!(server.exchange("more \u{1}").await, "MORE \u{1}");
        assert!(server.task.await.unwrap().is_none(), "the tunnel has the transport");
        server.client.shutdown().await.unwrap();
        assert_eq!(server.client.read(&mut [0; 8]).await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn http2_is_told_by_its_preface() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for step in [1, 3, 24] {
        let config = GateConfig { detect_http2: true, ..GateConfig::default() };
        let mut server = serve(config);
        for piece in preface.chunks(step) {
            let _ = server.client.write_all(piece).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut returned = server.task.await.unwrap().expect("the transport");
        assert_eq!(returned.protocol, Protocol::Http2);
        drop(server.client);
        let mut rest = returned.read.to_vec();
        returned.io.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, preface);
        assert_eq!(server.state.refusal(), None);

        let (mut client, server) = tokio::io::duplex(64);
        let pieces = async {
            for piece in preface.chunks(step) {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (found, ()) = tokio::join!(detect(server), pieces);
        let found = found.unwrap();
        assert_eq!(found.protocol, Protocol::Http2);
        let mut replay = Replay::new(found.io, found.read);
        let mut all = [0; 24];
        replay.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, preface);
    }
    let config = GateConfig { detect_http2: true, ..GateConfig::default() };
    let mut server = serve(config);
    server.exchange("P").await;
    let answer = server.exchange("UT /x HTTP/1.1\r\n\r\n").await;
    assert_eq!(answer, ok("</x >"));
    // Later it is a method nobody knows.
    assert!(server.exchange(preface).await.starts_with("HTTP/1.1 400"));
    // And so it is where it is not looked for.
    let mut server = serve(GateConfig::default());
    assert!(server.exchange(preface).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn an_unread_body_does_not_cost_the_client_its_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let (gate, handle) = Http1Gate::new(server, Arc::new(GateConfig::default()));
    let service = service_fn(|_| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"no"))))
    });
    let service = TrackedService::new(service, Arc::clone(handle.state()));
    let task = tokio::spawn(async move {
        let io = TokioIo::new(gate);
        let _ = Builder::new().serve_connection(io, service).with_upgrades().await;
        let delay = handle.state().delay_close();
        let returned = handle.reclaim().unwrap();
        (delay, delayed_close(returned.io, Duration::from_millis(300)).await.unwrap())
    });
    let head = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&[0; 200_000]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut got = String::new();
    client.read_to_string(&mut got).await.unwrap();
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with("no"), "{got:?}");
    assert_eq!(task.await.unwrap(), (true, true));
}
