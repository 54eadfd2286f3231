//! What passes, and in which form.

use front_proxy::config::model::UnderscoresAction;
use front_proxy::connection::http1::{GateConfig, Phase, Protocol, RefusalKind};
use front_proxy_layers::server_header::{ServerHeaderLayer, Transformation};
use http::HeaderValue;

use crate::server::{ok, serve};

#[tokio::test(start_paused = true)]
async fn plain_requests_pass() {
    let mut server = serve(GateConfig::default());
    let get = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(server.exchange(get).await, ok("</a >"));
    let post = "POST /b HTTP/1.1\r\nHost: h\r\ncontent-length: 3\r\n\r\nabc";
    assert_eq!(server.exchange(post).await, ok("</b abc>"));
    let chunked = "POST /c HTTP/1.1\r\nHost: h\r\ntransfer-encoding: chunked\r\n\r\n\
        2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    assert_eq!(server.exchange(chunked).await, ok("</c abc>"));
    assert_eq!(server.state.requests(), 3);
    assert_eq!(server.state.phase(), Phase::Idle);
    assert_eq!(server.state.bytes_in() as usize, get.len() + post.len() + chunked.len());
    drop(server.client);
    let returned = server.task.await.unwrap().expect("the transport");
    assert_eq!(returned.protocol, Protocol::Http1);
    assert!(server.state.client_closed() && !server.state.delay_close());
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_one_by_one_and_in_order() {
    let mut server = serve(GateConfig::default());
    let all = "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n\
        POST /b HTTP/1.1\r\nHost: h\r\ncontent-length: 3\r\n\r\nabc\
        POST /c HTTP/1.1\r\nHost: h\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n\
        GET /d HTTP/1.1\r\nHost: h\r\n\r\n";
    let expected = [ok("</slow >"), ok("</b abc>"), ok("</c x>"), ok("</d >")].concat();
    assert_eq!(server.exchange(all).await, expected);
    assert_eq!(server.exchange("GET /e HTTP/1.1\r\nHost: h\r\n\r\n").await, ok("</e >"));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_requests_in_one_segment() {
    let mut server = serve(GateConfig::default());
    let all = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100);
    assert_eq!(server.exchange(all).await, ok("</a >").repeat(100));
}

#[tokio::test(start_paused = true)]
async fn what_envoy_puts_up_with_reaches_the_service_in_plain_form() {
    for (input, seen) in [
        ("GET /x HTTP/1.1\nHost: a\n\n", "GET /x HTTP/1.1|host: a|"),
        ("\r\n\r\nGET\t /x \t HTTP/1.1 \r\nHost:a  \r\n\r\n", "GET /x HTTP/1.1|host: a|"),
        ("GET /x HTTP/1.1\r\nX: a\rb\r\n\r\n", "GET /x HTTP/1.1|x: ab|"),
        ("GET /x HTTP/1.1\r\nX: a\r\n  b\r\n\tc\r\n\r\n", "GET /x HTTP/1.1|x: a  b\tc|"),
        ("GET /x HTTP/1.1\r\nX:\r\n b\r\n\r\n", "GET /x HTTP/1.1|x: b|"),
        ("GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET /x HTTP/1.1|host: a,b|"),
        ("GET /x HTTP/1.1\r\nHost:\r\nHost: b\r\n\r\n", "GET /x HTTP/1.1|host: b|"),
        ("GET http://u:p@h:1/x HTTP/1.1\r\nHost: a b\r\n\r\n", "GET http://h:1/x HTTP/1.1|host: |"),
        ("GET /<> HTTP/1.1\r\n\r\n", "GET /%3C%3E HTTP/1.1|"),
        ("OPTIONS * HTTP/1.1\r\n\r\n", "OPTIONS * HTTP/1.1|"),
        (
            "POST /x HTTP/1.1\r\ntransfer-encoding:\r\n CHUNKED\r\n\r\n\
             0002 zz;x\r\nabstray\r\n01;a=\"b\"\r\nc\n0;last\r\n\ra: b\n\n",
            "POST /x HTTP/1.1|transfer-encoding: CHUNKED|abc",
        ),
        (
            "POST /x HTTP/1.1\r\nContent-Length:\r\n 02\r\n\r\nab",
            "POST /x HTTP/1.1|content-length: 02|ab",
        ),
        (
            "POST /x HTTP/1.1\r\nExpect: x\r\nexpect: 100-continue\r\n\r\n",
            "POST /x HTTP/1.1|expect: x,100-continue|",
        ),
    ] {
        let mut server = serve(GateConfig::default());
        let answer = server.exchange(input).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{input:?}: {answer:?}");
        assert_eq!(server.seen(), [seen], "{input:?}");
        // The next request is where it is expected.
        assert_eq!(
            server.exchange("GET /next HTTP/1.1\r\n\r\n").await,
            ok("</next >"),
            "{input:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_pass_where_enabled() {
    let config = GateConfig { enable_trailers: true, ..GateConfig::default() };
    let mut server = serve(config);
    let head = "POST /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = "2\r\nok\r\n0\r\nX-T:1\r\n 2\r\nhost: evil\r\nY: é\n\r\n";
    assert_eq!(server.exchange(format!("{head}{body}")).await, ok("</x ok>"));
    let seen = "POST /x HTTP/1.1|transfer-encoding: chunked|ok\
        |trailer x-t: \"1 2\"|trailer y: \"\\xc3\\xa9\"";
    assert_eq!(server.seen(), [seen]);
}

#[tokio::test(start_paused = true)]
async fn expect_is_answered_by_the_gate_in_turn() {
    let mut server = serve(GateConfig::default());
    let head = "POST /a HTTP/1.1\r\nExpect: 100-CONTINUE\r\ncontent-length: 2\r\n\r\n";
    assert_eq!(server.exchange(head).await, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(server.exchange("ab").await, ok("</a ab>"));
    let pipelined = format!("GET /slow HTTP/1.1\r\n\r\n{head}cd");
    let expected = [&ok("</slow >"), "HTTP/1.1 100 Continue\r\n\r\n", &ok("</a cd>")].concat();
    assert_eq!(server.exchange(pipelined).await, expected);
    assert!(server.seen().iter().all(|line| !line.contains("expect")));
    assert_eq!(server.state.continues(), 2);

    let config = GateConfig { answer_100_continue: false, ..GateConfig::default() };
    let mut server = serve(config);
    // It is the upstream's to answer, though the service asks for the body.
    assert_eq!(server.exchange(head).await, "");
    assert_eq!(server.exchange("ab").await, ok("</a ab>"));
    assert!(server.seen()[0].contains("|expect: 100-CONTINUE|"));
}

/// Says nothing of itself.
fn nameless() -> ServerHeaderLayer {
    let layer = ServerHeaderLayer::new(HeaderValue::from_static("envoy"));
    layer.transformation(Transformation::PassThrough)
}

#[tokio::test(start_paused = true)]
async fn options_of_the_listener() {
    let config = GateConfig {
        accept_http_10: true,
        allow_chunked_length: true,
        underscores: UnderscoresAction::DropHeader,
        server_header: nameless(),
        ..GateConfig::default()
    };
    let mut server = serve(config.clone());
    let both =
        "POST /x HTTP/1.1\r\ncontent-length: 99\r\nx_y: 1\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(server.exchange(format!("{both}1\r\na\r\n0\r\n\r\n")).await, ok("</x a>"));
    assert_eq!(server.seen(), ["POST /x HTTP/1.1|transfer-encoding: chunked|a"]);
    assert_eq!(server.state.dropped_underscores(), 1);
    let old = "GET /old HTTP/1.0\r\nconnection: keep-alive\r\n\r\n";
    assert!(server.exchange(old).await.starts_with("HTTP/1.0 200 OK\r\n"));
    let older = "GET /older HTTP/0.9\r\n\r\n";
    assert!(server.exchange(older).await.starts_with("HTTP/1.0 200 OK\r\n"));
    assert!(server.task.await.unwrap().is_some());

    let mut server = serve(config.clone());
    let answer = server.exchange("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.contains("server:"), "{answer:?}");

    let underscores = UnderscoresAction::RejectRequest;
    let mut server = serve(GateConfig { underscores, ..config });
    server.exchange("GET / HTTP/1.1\r\nx_y: 1\r\n\r\n").await;
    assert_eq!(server.state.refusal().map(|refusal| refusal.kind), Some(RefusalKind::Underscore));
}
