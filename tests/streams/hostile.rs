//! What holds for any bytes an upstream may answer with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::front::{Front, Parts, app};

/// Answers, good and bad, as brokenly made servers and attackers write them.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let interim = select(vec![
        "",
        "",
        "",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Hints\r\nlink: a\r\n\r\n",
        "HTTP/1.1 1",
    ]);
    let line = select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 404 \r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 204 None\r\n",
        "HTTP/1.1 999 Odd\r\n",
        "HTTP/1.1 20 OK\r\n",
        "HTTP/2 200\r\n",
        "HTTP/1.1 200 OK\n",
        "garbage\r\n",
        "",
    ]);
    let header = select(vec![
        "content-length: 3\r\n",
        "content-length: 3\r\n",
        "content-length: 5\r\n",
        "content-length: -1\r\n",
        "content-length: 3, 3\r\n",
        "transfer-encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: identity\r\n",
        "connection: close\r\n",
        "x: y\r\n",
        "x : y\r\n",
        "x: a\r\n b\r\n",
        ": y\r\n",
        "x: \0\r\n",
        "upgrade: websocket\r\n",
    ]);
    let body = select(vec![
        "",
        "abc",
        "abcdef",
        "3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nx: y\r\n\r\n",
        "3\r\nabc\r\n0\r\nbad\r\n\r\n",
        "3;x=y\r\nabc\r\n0\r\n\r\n",
        "g\r\n",
        "3\r\nabcX",
        "ffffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ]);
    let damage = proptest::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>()));
    (interim, line, vec(header, 0..4), body, damage).prop_map(
        |(interim, line, headers, body, damage)| {
            let text = [interim, line, &headers.concat(), "\r\n", body].concat();
            let mut bytes = text.into_bytes();
            if let Some((at, byte)) = damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        },
    )
}

/// The status that the client got, its body, and whether that was all of it.
#[derive(Debug, PartialEq)]
struct Got {
    status: String,
    body: String,
    complete: bool,
}

impl Got {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
        assert!(head.starts_with("HTTP/1.1 "), "{text}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let complete = match length {
            Some(length) => length.parse() == Ok(body.len()),
            None if head.contains("transfer-encoding: chunked") => body.ends_with("0\r\n\r\n"),
            None => body.is_empty(),
        };
        let body = if length.is_some() { body.to_owned() } else { unchunked(body) };
        let status = match &head[9..12] {
            // Whether a head that is cut off was broken before its end is found out, or only that it
            // is cut off, depends on how much of it was read at a time.
            "502" | "503" => "no answer",
            status => status,
        };
        // What the proxy says of that differs as well.
        let body = if status == "no answer" { String::new() } else { body };
        Self { status: status.to_owned(), body, complete }
    }
}

/// What chunks carry, as far as they came.
fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0).min(rest.len());
        text += &rest[..size];
        body = rest[size..].strip_prefix("\r\n").unwrap_or_default();
    }
    text
}

#[tokio::test]
async fn any_answer_is_dealt_with_however_it_is_cut() {
    let script = Arc::new(Mutex::new((Vec::new(), 0)));
    let read = Arc::clone(&script);
    let app = app(move |mut stream, _| {
        let (bytes, size): (Vec<u8>, usize) = read.lock().unwrap().clone();
        async move {
            stream.set_nodelay(true).unwrap();
            for piece in bytes.chunks(size) {
                if stream.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            // Not before the proxy has read it: a reset would take it away.
            let _ = stream.shutdown().await;
            let _ = timeout(Duration::from_secs(1), stream.read(&mut [0])).await;
        }
    })
    .await;
    let manager = "          delayed_close_timeout: 0.05s";
    let front =
        Front::start(app, Parts { manager, route: "timeout: 5s,", ..Parts::default() }).await;
    let ask = async |answer: &[u8], size: usize| {
        *script.lock().unwrap() = (answer.to_vec(), size);
        let mut client = front.connect().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let mut text = Vec::new();
        let all = client.0.read_to_end(&mut text);
        let end = timeout(Duration::from_secs(20), all).await;
        assert!(end.is_ok(), "no end to {:?}", String::from_utf8_lossy(answer));
        // A character for each byte, for the lengths to be right.
        let one = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { '?' };
        Got::read(&text.iter().map(one).collect::<String>())
    };
    let mut runner = TestRunner::deterministic();
    for _ in 0..96 {
        let answer = answer().new_tree(&mut runner).unwrap().current();
        let whole = ask(&answer, answer.len().max(1)).await;
        for size in [1, 7] {
            let cut = ask(&answer, size).await;
            let text = String::from_utf8_lossy(&answer);
            assert_eq!((&cut.status, cut.complete), (&whole.status, whole.complete), "{text:?}");
            if whole.complete {
                assert_eq!(cut.body, whole.body, "{text:?}");
            }
        }
    }
    // And what follows is served as if nothing had been.
    let good = ask(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", 99).await;
    assert_eq!((&*good.status, &*good.body, good.complete), ("200", "abc", true));
    front.expect("cluster.app.upstream_rq_active", 0).await;
    front.expect("http.t.downstream_rq_active", 0).await;
}

/// It is counted once, with the answer that it got: Envoy's figures.
#[tokio::test]
async fn a_body_that_breaks_later_is_one_request() {
    let app = app(|stream, _| async move {
        // Until the proxy gives up.
        let (mut stream, mut rest) = (stream, Vec::new());
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await;
    let front = Front::start(app, Parts::default()).await;
    let mut client = front.connect().await;
    client
        .send("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .await;
    front.expect("cluster.app.upstream_rq_active", 1).await;
    client.send("zz\r\n").await;
    assert!(client.answer().await.starts_with("HTTP/1.1 400 "));
    drop(client);
    front.expect("http.t.downstream_cx_destroy", 1).await;
    for (name, value) in [
        ("rq_total", 1),
        ("rq_http1_total", 1),
        ("rq_rx_reset", 1),
        ("rq_4xx", 1),
        ("cx_protocol_error", 1),
        ("cx_destroy_active_rq", 0),
    ] {
        front.expect(&format!("http.t.downstream_{name}"), value).await;
    }
}
