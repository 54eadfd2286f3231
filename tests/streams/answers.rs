use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::front::{Front, Parts, answers, app};

const CHUNKED: &str = "\r\ntransfer-encoding: chunked\r\n";

/// RFC 9112 section 6.1: the answer to HEAD may say what the one to GET would.
#[tokio::test]
async fn head_is_told_of_chunks_where_no_length_is_known() {
    let upstream = app(async |mut stream, _| {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("written");
        std::future::pending::<()>().await;
    });
    let parts = Parts { matching: "{prefix: /app}", ..Parts::default() };
    let front = Front::start(upstream.await, parts).await;
    let mut client = front.connect().await;
    // One after the other, and each with its own: from the upstream, made here, and a GET between.
    client
        .send(
            "HEAD /app HTTP/1.1\r\nHost: a\r\n\r\nHEAD /none HTTP/1.1\r\nHost: a\r\n\r\n\
             GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .await;
    let (all, _) = client.rest().await;
    let heads: Vec<_> = all.split_inclusive("\r\n\r\n").collect();
    assert_eq!(heads.len(), 3, "{all}");
    assert!(heads[0].starts_with("HTTP/1.1 200 ") && heads[0].contains(CHUNKED), "{all}");
    assert!(heads[1].starts_with("HTTP/1.1 404 ") && heads[1].contains(CHUNKED), "{all}");
    assert!(heads[2].contains("\r\ncontent-length: 0\r\n") && !heads[2].contains(CHUNKED), "{all}");
}

#[tokio::test]
async fn head_keeps_a_length_that_is_known() {
    let upstream = answers(Duration::ZERO, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let front = Front::start(upstream, Parts::default()).await;
    let mut client = front.connect().await;
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.answer().await;
    assert!(answer.contains("\r\ncontent-length: 0\r\n") && !answer.contains(CHUNKED), "{answer}");
}

/// A body that breaks after the head of HEAD was taken is refused without a body.
#[tokio::test]
async fn a_refusal_of_head_has_no_body() {
    let front = Front::start(answers(Duration::ZERO, "").await, Parts::default()).await;
    let mut client = front.connect().await;
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").await;
    let (answer, _) = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_204_with_a_body_is_refused() {
    for framing in ["transfer-encoding: chunked", "content-length: 5"] {
        let answer = format!("HTTP/1.1 204 No Content\r\n{framing}\r\n\r\n");
        let front = Front::start(answers(Duration::ZERO, answer.leak()).await, Parts::default());
        let front = front.await;
        let mut client = front.connect().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{framing}: {answer}");
        front.expect("cluster.app.upstream_cx_protocol_error", 1).await;
    }
}

#[tokio::test]
async fn an_answer_that_leaves_its_end_in_doubt_is_refused() {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2,2\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length:\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "HTTP/1.1 103 Early Hints\r\ncontent-length: 2\r\n\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\ntransfer-encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\n",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = format!("{head}\r\n");
            let front =
                Front::start(answers(Duration::ZERO, answer.leak()).await, Parts::default());
            let front = front.await;
            let mut client = front.connect().await;
            let close = "Host: a\r\nConnection: close\r\n\r\n";
            client.send(&format!("{method} / HTTP/1.1\r\n{close}")).await;
            let (answer, _) = client.rest().await;
            assert!(answer.starts_with("HTTP/1.1 502 "), "{method} {head}: {answer}");
            front.expect("cluster.app.upstream_cx_protocol_error", 1).await;
        }
    }
}

#[tokio::test]
async fn the_last_request_of_a_connection_counts_whatever_its_answer() {
    let cluster = "    max_requests_per_connection: 1";
    let parts = Parts { cluster, ..Parts::default() };
    let front =
        Front::start(answers(Duration::ZERO, "HTTP/1.1 200 OK\r\nbad\r\n\r\n").await, parts);
    let front = front.await;
    let mut client = front.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.answer().await.starts_with("HTTP/1.1 502 "));
    front.expect("cluster.app.upstream_cx_max_requests", 1).await;
}

#[tokio::test]
async fn an_answer_may_have_folded_lines_and_any_code() {
    let answer = "HTTP/1.1 999 Odd\r\nx-a: b\r\n c\r\ncontent-length: 0\r\n\r\n";
    let front = Front::start(answers(Duration::ZERO, answer).await, Parts::default()).await;
    let mut client = front.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 999 Unknown\r\n"), "{answer}");
    assert!(answer.contains("\r\nx-a: b c\r\n"), "{answer}");
    front.expect("cluster.app.upstream_rq_unknown", 1).await;
}

#[tokio::test]
async fn proxy_connection_closes_both_sides() {
    let answer = "HTTP/1.1 200 OK\r\nproxy-connection: close\r\ncontent-length: 2\r\n\r\nok";
    let front = Front::start(answers(Duration::ZERO, answer).await, Parts::default()).await;
    let mut client = front.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(!client.answer().await.contains("connection: close"));
    front.expect("cluster.app.upstream_cx_destroy_local", 1).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n").await;
    let (answer, _) = client.rest().await;
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
}

/// The edge sees that there is no TLS.
#[tokio::test]
async fn the_edge_takes_no_https_url_in_plain_text() {
    for (manager, status) in [("use_remote_address: true", 403), ("use_remote_address: false", 200)]
    {
        let manager = format!("          {manager}");
        let app = answers(Duration::ZERO, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        let front = Front::start(app, Parts { manager: &manager, ..Parts::default() }).await;
        let mut client = front.connect().await;
        client.send("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = client.answer().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

/// hyper asks in the version that it was last answered in, and Envoy always in HTTP/1.1.
#[tokio::test]
async fn an_upstream_that_answers_in_http_10_is_asked_in_http_11() {
    let app = app(|mut stream, mut head| async move {
        let mut buffer = [0; 4096];
        loop {
            let version = head.lines().next().and_then(|line| line.rsplit(' ').next());
            let fields = "connection: keep-alive\r\ncontent-length: 8";
            let answer = format!("HTTP/1.0 200 OK\r\n{fields}\r\n\r\n{}", version.expect("a line"));
            stream.write_all(answer.as_bytes()).await.expect("written");
            match stream.read(&mut buffer).await {
                Ok(read @ 1..) => head = String::from_utf8_lossy(&buffer[..read]).into_owned(),
                _ => return,
            }
        }
    })
    .await;
    let front = Front::start(app, Parts::default()).await;
    let mut client = front.connect().await;
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let answer = client.answer().await;
        assert!(answer.ends_with("\r\n\r\nHTTP/1.1"), "{answer}");
    }
}

/// Some servers say goodbye to idle connections so.
#[tokio::test]
async fn a_408_to_nobody_is_no_error() {
    for (farewell, errors) in [("408 Request Timeout", 0), ("409 Conflict", 1)] {
        let answered = Arc::new(Notify::new());
        let leaves = Arc::clone(&answered);
        let app = app(move |mut stream, _| {
            let leaves = Arc::clone(&leaves);
            async move {
                let ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                let _ = stream.write_all(ok.as_bytes()).await;
                leaves.notified().await;
                let last = format!("HTTP/1.1 {farewell}\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(last.as_bytes()).await;
            }
        })
        .await;
        let front = Front::start(app, Parts::default()).await;
        let mut client = front.connect().await;
        client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        assert!(client.answer().await.starts_with("HTTP/1.1 200 "));
        front.expect("cluster.app.upstream_rq_active", 0).await;
        answered.notify_one();
        front.expect("cluster.app.upstream_cx_destroy", 1).await;
        front.expect("cluster.app.upstream_cx_protocol_error", errors).await;
    }
}
