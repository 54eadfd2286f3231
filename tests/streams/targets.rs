use std::time::Duration;

use super::front::{Front, Parts, answers};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const CLOSE: &str = "\r\nconnection: close\r\n";

#[tokio::test]
async fn a_url_in_the_request_line_is_no_path_where_that_is_not_allowed() {
    let manager = "          http_protocol_options: {allow_absolute_url: false}\n          \
        delayed_close_timeout: 0.1s";
    let app = answers(Duration::ZERO, OK).await;
    let front = Front::start(app, Parts { manager, ..Parts::default() }).await;
    let mut client = front.connect().await;
    let urls = ["http://b/a?b", "http://b", "https://b/", "ftp://b/", "http://b/a#b", "*"];
    for (url, n) in urls.iter().zip(1..) {
        client.send(&format!("GET {url} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 404 ") && !answer.contains(CLOSE), "{url} {answer}");
        front.expect("http.t.downstream_rq_non_relative_path", n).await;
    }
    // The connection goes on, and paths are served.
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.answer().await.starts_with("HTTP/1.1 200 "));
    front.expect("cluster.app.upstream_rq_total", 1).await;
    // Its authority is none either.
    client.send("GET http://b/a HTTP/1.1\r\n\r\n").await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(CLOSE), "{answer}");
    for word in ["b:80", "word"] {
        let mut client = front.connect().await;
        client.send(&format!("GET {word} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(CLOSE), "{answer}");
    }
}

#[tokio::test]
async fn a_refused_request_may_leave_its_connection_open() {
    let no_host = "GET /a HTTP/1.1\r\n\r\n";
    let bad_path = "GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n";
    let begun = "POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n";
    let bad_length = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n";
    let reject = "path_with_escaped_slashes_action: REJECT_REQUEST";
    for (option, kept) in [
        ("stream_error_on_invalid_http_message: true", true),
        ("http_protocol_options: {override_stream_error_on_invalid_http_message: true}", true),
        ("stream_error_on_invalid_http_message: false", false),
    ] {
        let manager = format!(
            "          {option}\n          {reject}\n          \
            delayed_close_timeout: 0.1s"
        );
        let app = answers(Duration::ZERO, OK).await;
        let front = Front::start(app, Parts { manager: &manager, ..Parts::default() }).await;
        // Where the request is not complete, or it is the codec that refuses, it is over.
        for (request, may_go_on) in
            [(no_host, true), (bad_path, true), (begun, false), (bad_length, false)]
        {
            let mut client = front.connect().await;
            client.send(request).await;
            let answer = client.answer().await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{request} {answer}");
            assert_eq!(answer.contains(CLOSE), !(kept && may_go_on), "{request} {answer}");
            if kept && may_go_on {
                client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
                assert!(client.answer().await.starts_with("HTTP/1.1 200 "));
            }
        }
    }
}
