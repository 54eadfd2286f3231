//! What is refused, and in which words.

use std::time::Duration;

use front_proxy::connection::http1::{GateConfig, Phase, RefusalKind, delayed_close};
use tokio::io::AsyncWriteExt;

use crate::server::{BAD_REQUEST, ok, serve};

#[tokio::test(start_paused = true)]
async fn what_envoy_refuses_is_refused_in_its_words() {
    use RefusalKind as K;
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "q".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    for (kind, input) in [
        (K::BadRequest, "BREW / HTTP/1.1\r\n"),
        (K::BadRequest, "get / HTTP/1.1\r\n\r\n"),
        (K::BadRequest, " GET / HTTP/1.1\r\n\r\n"),
        (K::BadRequest, "GET x HTTP/1.1\r\n\r\n"),
        (K::BadRequest, "GET / x HTTP/1.1\r\n\r\n"),
        (K::BadRequest, "GET  HTTP/1.1\r\n\r\n"),
        (K::BadRequest, "GET / http/1.1\r\n\r\n"),
        (K::BadRequest, "GET / HTTP/1.10\r\n\r\n"),
        (K::BadRequest, "GET / HTTP/1.1\r\n a: b\r\n\r\n"),
        (K::BadRequest, "GET / HTTP/1.1\r\na : b\r\n\r\n"),
        (K::BadRequest, "GET / HTTP/1.1\r\nab\r\n\r\n"),
        (K::BadRequest, "GET / HTTP/1.1\r\n: b\r\n\r\n"),
        (K::BadRequest, "GET / HTTP/1.1\r\na\u{e9}: b\r\n\r\n"),
        (K::BadRequest, "GET / HTTP/1.1\r\na/b: b\r\n\r\n"),
        (K::BadRequest, "GET / HTTP/1.1\r\na\rb: b\r\n\r\n"),
        (K::BadRequest, "GET / HTTP/1.1\r\n\rb: b\r\n\r\n"),
        (K::BadRequest, "\u{16}\u{3}\u{1}"),
        (K::BadRequest, "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n"),
        (K::BadRequest, "POST / HTTP/1.1\r\ncontent-length: 1, 1\r\n\r\n"),
        (K::BadRequest, "POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\n"),
        (K::BadRequest, "POST / HTTP/1.1\r\ncontent-length: 0x1\r\n\r\n"),
        (K::BadRequest, "POST / HTTP/1.1\r\ncontent-length:\r\n\r\n"),
        (K::BadRequest, "POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n"),
        (K::BadRequest, "POST / HTTP/1.1\r\ncontent-length: 1\r0\r\n\r\n"),
        (K::BadRequest, "POST / HTTP/1.1\r\ntransfer-encoding: chun\rked\r\n\r\n"),
        (K::InvalidCharacters, "GET / HTTP/1.1\r\na: \u{1}\r\n\r\n"),
        (K::InvalidCharacters, "GET / HTTP/1.1\r\na: \u{0}\r\n\r\n"),
        (K::InvalidCharacters, "GET / HTTP/1.1\r\na: \u{7f}\r\n\r\n"),
        (K::InvalidUrl, "GET * HTTP/1.1\r\n\r\n"),
        (K::InvalidUrl, "GET ftp://a/ HTTP/1.1\r\n\r\n"),
        (K::InvalidAuthority, "GET / HTTP/1.1\r\nhost: a b\r\n\r\n"),
        (K::InvalidAuthority, "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n"),
        (
            K::LengthAndChunked,
            "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        (
            K::LengthAndChunked,
            "POST / HTTP/1.1\r\ntransfer-encoding: identity\r\ncontent-length: 1\r\n\r\n",
        ),
        (K::TransferEncoding, "POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n"),
        (K::TransferEncoding, "POST / HTTP/1.1\r\ntransfer-encoding:\r\n\r\n"),
        (
            K::TransferEncoding,
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        (K::BodyDisallowed, "CONNECT h:1 HTTP/1.1\r\ncontent-length: 1\r\n\r\n"),
        (K::Version, "GET / HTTP/1.0\r\n\r\n"),
        (K::Version, "GET / HTTP/1.2\r\n\r\n"),
        (K::Version, "GET / HTTP/2.0\r\n\r\n"),
        (K::Version, "GET /\r\n"),
        (K::HeadTooLarge, &*long),
        (K::TooManyHeaders, &*many),
        (K::FragmentInPath, "GET /a#b HTTP/1.1\r\nhost: h\r\n\r\n"),
        (K::MissingHost, "GET /a#b HTTP/1.1\r\n\r\n"),
    ] {
        let mut server = serve(GateConfig::default());
        let status = kind.status();
        let reason = status.canonical_reason().unwrap();
        let body = kind.body();
        let expected = if body.is_empty() {
            format!(
                "HTTP/1.1 {} {reason}\r\ndate\r\nserver: envoy\r\nconnection: close\r\n\
                 content-length: 0\r\n\r\n",
                status.as_u16()
            )
        } else {
            format!(
                "HTTP/1.1 {} {reason}\r\ncontent-length: {}\r\ncontent-type: text/plain\r\n\
                 date\r\nserver: envoy\r\nconnection: close\r\n\r\n{body}",
                status.as_u16(),
                body.len()
            )
        };
        let short = input.get(..60).unwrap_or(input);
        // Behind a good request, whose answer comes first, and with more behind, which is lost.
        let all = format!("GET /slow HTTP/1.1\r\n\r\n{input}GET /lost HTTP/1.1\r\n\r\n");
        let expected = ok("</slow >") + &expected;
        server.client.write_all(all.as_bytes()).await.unwrap();
        assert_eq!(server.receive().await, expected, "{short:?}");
        let refusal = server.state.refusal().expect("a refusal");
        assert_eq!((refusal.kind, refusal.answered, refusal.head_seen), (kind, true, false));
        assert_eq!(server.seen().len(), 1, "{short:?}");
        let returned = server.task.await.unwrap().expect("the transport");
        assert!(server.state.delay_close());
        assert!(!delayed_close(returned.io, Duration::ZERO).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_whole_head_shows_is_refused_in_its_version() {
    for (version, input) in [
        ("1.0", "GET ftp://h/ HTTP/1.0\r\n\r\n"),
        ("1.0", "GET * HTTP/1.0\r\nhost: h\r\n\r\n"),
        ("1.0", "GET /a#b HTTP/1.0\r\nhost: h\r\n\r\n"),
        ("1.0", "GET / HTTP/1.0\r\nhost: a b\r\n\r\n"),
        ("1.0", "POST / HTTP/1.0\r\ntransfer-encoding: gzip\r\n\r\n"),
        ("1.1", "GET ftp://h/ HTTP/1.1\r\n\r\n"),
        ("1.1", "FOO / HTTP/1.0\r\n\r\n"),
        ("1.1", "GET / HTTP/1.0\r\nno colon\r\n\r\n"),
        ("1.1", "GET / HTTP/1.0\r\ncontent-length: 1, 1\r\n\r\n"),
    ] {
        let mut server = serve(GateConfig { accept_http_10: true, ..GateConfig::default() });
        let answer = server.exchange(input).await;
        assert!(answer.starts_with(&format!("HTTP/{version} ")), "{input:?} {answer:?}");
        assert!(answer.contains("connection: close\r\n"), "{input:?} {answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_stops_the_service() {
    for bad in [
        "zz\r\n",
        "\r\n",
        "2\nab",
        "-5\r\n",
        "0x5\r\n",
        "5\rx",
        "11111111111111111\r\n",
        "1;a\nb",
        "0\r\nbad trailer\r\n\r\n",
        "0\n\n",
        "0\r\n a: b\r\n\r\n",
        "0\r\n: b\r\n\r\n",
    ] {
        for between in ["", "2\r\nab\r\n"] {
            let head = "POST /wait HTTP/1.1\r\nHost: h\r\ntransfer-encoding: chunked\r\n\r\n";
            let mut server = serve(GateConfig::default());
            let all = format!("{head}{between}{bad}");
            assert_eq!(server.exchange(all).await, BAD_REQUEST, "{bad:?}");
            let refusal = server.state.refusal().expect("a refusal");
            // What came along with the head is known to be broken before anybody sees the head.
            assert!(!refusal.head_seen && refusal.answered && server.state.delay_close());
            assert!(server.task.await.unwrap().is_some());
            assert!(server.seen.lock().unwrap().is_empty());

            // The same in pieces.
            let mut server = serve(GateConfig::default());
            assert_eq!(server.exchange(head).await, "");
            assert_eq!(server.state.phase(), Phase::Body);
            assert_eq!(server.exchange(between).await, "");
            assert_eq!(server.exchange(bad).await, BAD_REQUEST, "{bad:?}");
            let refusal = server.state.refusal().expect("a refusal");
            assert!(refusal.head_seen && refusal.answered && server.state.delay_close());
            assert!(server.task.await.unwrap().is_some());
            // The service was dropped: it saw neither an end nor an error.
            assert!(!server.seen.lock().unwrap().iter().any(|line| line.contains("broken")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_behind_a_begun_answer_just_closes() {
    let mut server = serve(GateConfig::default());
    let head = "POST /begin HTTP/1.1\r\nHost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = server.exchange(head).await;
    assert!(answer.ends_with("\r\n\r\n5\r\nbegun\r\n"), "{answer:?}");
    assert_eq!(server.exchange("1\r\na\r\nzz\r\n").await, "");
    let refusal = server.state.refusal().expect("a refusal");
    assert!(refusal.head_seen && !refusal.answered && server.state.delay_close());
    assert!(server.task.await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn too_long_trailers_are_refused() {
    let config = GateConfig { max_head_bytes: 1024, ..GateConfig::default() };
    let mut server = serve(config);
    let head = "POST /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ";
    let answer = server.exchange(format!("{head}{}\r\n\r\n", "q".repeat(2000))).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn head_limits_count_every_byte() {
    let config = GateConfig { max_head_bytes: 1024, ..GateConfig::default() };
    let head = |len: usize, end: &str| {
        let start = "GET /x HTTP/1.1\r\nx: ";
        format!("{start}{}{end}{end}", "q".repeat(len - start.len() - 2 * end.len()))
    };
    for end in ["\r\n", "\n"] {
        for (len, fits) in [(1023, true), (1024, true), (1025, false), (5000, false)] {
            for lead in ["", "\r\n"] {
                let mut server = serve(config.clone());
                let answer = server.exchange(format!("{lead}{}", head(len, end))).await;
                assert_eq!(answer.starts_with("HTTP/1.1 200"), fits, "{len} {end:?}: {answer}");
                assert_eq!(answer.starts_with("HTTP/1.1 431"), !fits, "{len} {end:?}: {answer}");
            }
        }
    }
    // An incomplete head that can only get too long.
    let mut server = serve(config.clone());
    assert_eq!(server.exchange(&head(2000, "\r\n")[..1023]).await, "");
    assert!(server.exchange("q").await.starts_with("HTTP/1.1 431"));
}

#[test]
fn refusals_say_what_envoy_counts() {
    let refusal = |kind: RefusalKind| (kind.is_protocol_error(), kind.is_before_request_complete());
    assert_eq!(refusal(RefusalKind::BadRequest), (true, true));
    assert_eq!(refusal(RefusalKind::FragmentInPath), (false, false));
    assert_eq!(refusal(RefusalKind::HeaderTimeout), (false, true));
}
