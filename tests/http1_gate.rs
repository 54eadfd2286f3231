//! The HTTP/1 gate before a real hyper server, bytes in and bytes out.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use front_proxy::connection::http1::{
    GateConfig, GateState, Http1Gate, Phase, Protocol, RefusalKind, Returned, TrackedService,
    delayed_close, detect,
};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};

/// What the service saw: request line, headers, body; or why the body broke.
type Seen = Arc<Mutex<Vec<String>>>;

struct Server {
    client: DuplexStream,
    seen: Seen,
    state: Arc<GateState>,
    task: tokio::task::JoinHandle<Option<Returned<DuplexStream>>>,
}

fn serve(config: GateConfig) -> Server {
    let (client, server) = tokio::io::duplex(1 << 16);
    let config = Arc::new(config);
    let mut builder = Builder::new();
    config.configure(&mut builder);
    builder.auto_date_header(false);
    let seen = Seen::default();
    let (gate, handle) = Http1Gate::new(server, config);
    let state = Arc::clone(handle.state());
    let service = service_fn({
        let seen = Arc::clone(&seen);
        move |request| answer(request, Arc::clone(&seen))
    });
    let service = TrackedService::new(service, Arc::clone(&state));
    let task = tokio::spawn(async move {
        let connection = builder.serve_connection(TokioIo::new(gate), service).with_upgrades();
        let _ = connection.await;
        handle.reclaim()
    });
    Server { client, seen, state, task }
}

/// Answers with the body; `/wait` waits for it, `/now` does not, `/slow` takes its time, `/begin`
/// begins its answer and never ends it, `/never` does not answer.
async fn answer(
    mut request: Request<Incoming>,
    seen: Seen,
) -> Result<Response<http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    let mut line = format!("{} {} {:?}", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        line += &format!("|{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let text = |text: String| Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    let path = request.uri().path().to_owned();
    if request.method() == http::Method::CONNECT || path == "/upgrade" {
        seen.lock().unwrap().push(line);
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Ok(upgraded) = upgrade.await {
                let mut io = TokioIo::new(upgraded);
                let mut byte = [0; 64];
                while let Ok(count @ 1..) = io.read(&mut byte).await {
                    let _ = io.write_all(&byte[..count].to_ascii_uppercase()).await;
                }
                let _ = io.shutdown().await;
            }
        });
        let mut answer = text(String::new());
        if path == "/upgrade" {
            *answer.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        }
        return Ok(answer);
    }
    match path.as_str() {
        "/never" => std::future::pending().await,
        "/slow" => tokio::time::sleep(Duration::from_millis(50)).await,
        "/now" => {
            seen.lock().unwrap().push(line);
            return Ok(text("now".to_owned()));
        }
        "/begin" => {
            let frame = http_body::Frame::data(Bytes::from_static(b"begun"));
            let first = futures_body(frame);
            return Ok(Response::new(first));
        }
        _ => {}
    }
    let at = {
        let mut seen = seen.lock().unwrap();
        seen.push(line.clone());
        seen.len() - 1
    };
    let trailers;
    let body = match request.into_body().collect().await {
        Ok(body) => {
            trailers = body.trailers().cloned();
            String::from_utf8_lossy(&body.to_bytes()).into_owned()
        }
        Err(error) => {
            seen.lock().unwrap()[at] += &format!("|broken: {error}");
            return Ok(text("broken".to_owned()));
        }
    };
    let mut seen = seen.lock().unwrap();
    seen[at] += &format!("|{body}");
    for (name, value) in trailers.iter().flatten() {
        seen[at] += &format!("|trailer {name}: {value:?}");
    }
    Ok(text(format!("<{path} {body}>")))
}

/// One frame, then silence.
fn futures_body(
    frame: http_body::Frame<Bytes>,
) -> http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible> {
    struct Begun(Option<http_body::Frame<Bytes>>);
    impl http_body::Body for Begun {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            self.0
                .take()
                .map_or(std::task::Poll::Pending, |frame| std::task::Poll::Ready(Some(Ok(frame))))
        }
    }
    Begun(Some(frame)).boxed_unsync()
}

impl Server {
    /// Everything the client gets until nothing more comes for a while.
    async fn receive(&mut self) -> String {
        let mut got = Vec::new();
        while let Ok(Ok(1..)) =
            tokio::time::timeout(Duration::from_millis(120), self.client.read_buf(&mut got)).await
        {
        }
        let text = String::from_utf8_lossy(&got).into_owned();
        let date = text.lines().find(|line| line.starts_with("date: ")).map(str::to_owned);
        match date {
            Some(date) => text.replace(&format!("{date}\r\n"), "date\r\n"),
            None => text,
        }
    }

    async fn exchange(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.client.write_all(bytes.as_ref()).await.unwrap();
        self.receive().await
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn ok(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len())
}

const BAD_REQUEST: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 11\r\n\
    content-type: text/plain\r\ndate\r\nserver: envoy\r\nconnection: close\r\n\r\nBad Request";

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
            assert!(refusal.head_seen && refusal.answered && server.state.delay_close());
            assert!(server.task.await.unwrap().is_some());
            // The service was dropped: it saw neither an end nor an error.
            assert!(!server.seen.lock().unwrap().iter().any(|line| line.contains("broken")));

            // The same in pieces.
            let mut server = serve(GateConfig::default());
            assert_eq!(server.exchange(head).await, "");
            assert_eq!(server.state.phase(), Phase::Body);
            assert_eq!(server.exchange(between).await, "");
            assert_eq!(server.exchange(bad).await, BAD_REQUEST, "{bad:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_behind_a_begun_answer_just_closes() {
    let mut server = serve(GateConfig::default());
    let head = "POST /begin HTTP/1.1\r\nHost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = server.exchange(head).await;
    assert!(answer.ends_with("5\r\nbegun\r\n"), "{answer:?}");
    // The service does not read the body, so hyper has not asked for it; it does when it can.
    assert_eq!(server.exchange("zz\r\n").await, "");
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
    // hyper's own, when the service asks for the body.
    assert_eq!(server.exchange(head).await, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(server.exchange("ab").await, ok("</a ab>"));
    assert!(server.seen()[0].contains("|expect: 100-CONTINUE|"));
}

#[tokio::test(start_paused = true)]
async fn options_of_the_listener() {
    let config = GateConfig {
        accept_http_10: true,
        allow_chunked_length: true,
        underscores: front_proxy::config::model::UnderscoresAction::DropHeader,
        server_header: None,
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

    let underscores = front_proxy::config::model::UnderscoresAction::RejectRequest;
    let mut server = serve(GateConfig { underscores, ..config });
    server.exchange("GET / HTTP/1.1\r\nx_y: 1\r\n\r\n").await;
    assert_eq!(server.state.refusal().map(|refusal| refusal.kind), Some(RefusalKind::Underscore));
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
        let mut replay = front_proxy::connection::http1::Replay::new(found.io, found.read);
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

#[test]
fn refusals_say_what_envoy_counts() {
    let refusal = |kind: RefusalKind| (kind.is_protocol_error(), kind.is_before_request_complete());
    assert_eq!(refusal(RefusalKind::BadRequest), (true, true));
    assert_eq!(refusal(RefusalKind::FragmentInPath), (false, false));
    assert_eq!(refusal(RefusalKind::HeaderTimeout), (false, true));
}
