//! What holds for any bytes a client may send through the HTTP/1 gate to hyper.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use front_proxy::connection::http1::{GateConfig, Http1Gate, Phase, RefusalKind, TrackedService};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// All that can be observed of one connection.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// Requests with their bodies as hyper read them.
    seen: Vec<String>,
    /// What the client got, dates apart.
    got: String,
    refusal: Option<(RefusalKind, bool, bool)>,
    released: u64,
    phase: Phase,
}

impl Outcome {
    /// As if a request with a broken body had been refused with its head. Whether hyper gets to see
    /// that head depends on one thing only: whether what breaks the body came along with it.
    fn without_the_broken(mut self) -> Self {
        if let Some((kind, true, true)) = self.refusal {
            self.seen.pop();
            self.released -= 1;
            self.refusal = Some((kind, false, true));
        }
        self
    }
}

/// Sends `pieces`, each only when the one before has been dealt with.
fn run(pieces: &[&[u8]], config: &GateConfig) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let config = Arc::new(config.clone());
        let mut builder = Builder::new();
        config.configure(&mut builder);
        builder.auto_date_header(false);
        let (gate, handle) = Http1Gate::new(server, config);
        let state = Arc::clone(handle.state());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let service = service_fn({
            let seen = Arc::clone(&seen);
            move |request| answer(request, Arc::clone(&seen))
        });
        let service = TrackedService::new(service, Arc::clone(&state));
        let task = tokio::spawn(async move {
            let _ = builder.serve_connection(TokioIo::new(gate), service).with_upgrades().await;
            handle.reclaim().is_some()
        });
        let mut got = Vec::new();
        for piece in pieces {
            // A refused connection takes no more.
            let _ = client.write_all(piece).await;
            while let Ok(Ok(1..)) =
                tokio::time::timeout(Duration::from_millis(1), client.read_buf(&mut got)).await
            {
            }
        }
        let outcome = Outcome {
            seen: seen.lock().unwrap().clone(),
            got: without_dates(&String::from_utf8_lossy(&got)),
            refusal: state
                .refusal()
                .map(|refusal| (refusal.kind, refusal.head_seen, refusal.answered)),
            released: state.requests(),
            phase: state.phase(),
        };
        // The connection always ends when the client leaves, and without a panic.
        drop(client);
        tokio::time::timeout(Duration::from_secs(1), task).await.expect("an end").unwrap();
        outcome
    })
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<String>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut line = format!("{} {} {:?}", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        line += &format!("|{name}: {value:?}");
    }
    let at = {
        let mut seen = seen.lock().unwrap();
        seen.push(line);
        seen.len() - 1
    };
    let Ok(body) = request.into_body().collect().await else {
        panic!("the gate handed hyper a body that does not end well");
    };
    let body = body.to_bytes();
    seen.lock().unwrap()[at] += &format!("|{body:?}");
    Ok(Response::new(Full::new(Bytes::from(format!("({})", body.len())))))
}

fn without_dates(text: &str) -> String {
    text.split("\r\n").filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>().join("\r\n")
}

/// What must hold of every outcome.
fn check(outcome: &Outcome) {
    // hyper read as many requests as the gate handed it.
    assert_eq!(outcome.seen.len() as u64, outcome.released, "{outcome:?}");
    // Each that was complete has been answered, and hyper refused none of them itself.
    let answers = outcome.got.matches("HTTP/1.1 200 OK").count()
        + outcome.got.matches("HTTP/1.0 200 OK").count();
    let all = usize::try_from(outcome.released).unwrap();
    match (outcome.phase, outcome.refusal) {
        (Phase::Idle | Phase::Head | Phase::Answer, _)
        | (Phase::Closed, None | Some((_, false, _))) => {
            assert_eq!(answers, all, "{outcome:?}");
        }
        (Phase::Body, _) | (Phase::Closed, Some((_, true, _))) => {
            assert_eq!(answers + 1, all, "{outcome:?}");
        }
        (phase, refusal) => panic!("{phase:?} {refusal:?}: {outcome:?}"),
    }
    // A refusal is the last thing the client gets.
    if let Some((kind, _, answered)) = outcome.refusal {
        let status = kind.status().as_u16();
        let lines = [format!("HTTP/1.1 {status} "), format!("HTTP/1.0 {status} ")];
        assert_eq!(outcome.got.matches("connection: close").count(), usize::from(answered));
        // To HEAD it has no body.
        let ends = [kind.body(), "\r\n\r\n"].iter().any(|end| outcome.got.ends_with(end));
        let is_told = lines.iter().any(|line| outcome.got.contains(line));
        assert!(is_told && ends, "{outcome:?}");
    }
}

/// Parts of requests, good and bad, as they come in attacks and in tests of parsers.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let line = select(vec![
        "GET /a HTTP/1.1\r\n",
        "POST /b HTTP/1.1\r\n",
        "POST  /b?c=d \t HTTP/1.1 \r\n",
        "PUT /e HTTP/1.1\n",
        "\r\nGET /f HTTP/1.1\r\n",
        "GET http://u@h:1/g HTTP/1.1\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "DELETE /<h> HTTP/1.1\r\n",
        "GET /i HTTP/1.0\r\n",
        "BREW / HTTP/1.1\r\n",
        "GET /j#k HTTP/1.1\r\n",
        "GET /l\r\n",
        "HEAD /m HTTP/1.1\r\n",
    ]);
    let header = select(vec![
        "Host: h\r\n",
        "host: other\r\n",
        "X-A: 1\r\n",
        "x_b:2\n",
        "x: a\r\n b\r\n",
        "x:\ra\r\n",
        "content-length: 3\r\n",
        "Content-Length: 003\r\n",
        "content-length:\t3 \n",
        "content-length: 3, 3\r\n",
        "content-length: +3\r\n",
        "content-length: 1\r3\r\n",
        "transfer-encoding: chunked\r\n",
        "Transfer-Encoding:\r\n CHUNKED\r\n",
        "transfer-encoding: chunked, x\r\n",
        "transfer-encoding: chu\rnked\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer_encoding: chunked\r\n",
        "Expect: 100-continue\r\n",
        "expect: x\r\n",
        "connection: keep-alive\r\n",
        "y: caf\u{e9}\tz \r\n",
        "z:\r\n",
        ": x\r\n",
        "bad\r\n",
        "n: \u{0}\r\n",
        "te: trailers\r\n",
    ]);
    let body = select(vec![
        "",
        "abc",
        "3\r\nabc\r\n0\r\n\r\n",
        "0\r\n\r\n",
        "03 ;x\r\nabc\r\n00;y=\"z\"\r\n\r\n",
        "3\r\nabcX\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nt: 1\r\nu: 2\n\r\n",
        "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "g\r\n",
        "3\r\nabc\r\n0\r\nbad\r\n\r\n",
        "3\r\nabc\r\rX\r\n0\r\n\n",
        "0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    ]);
    let end = select(vec!["\r\n", "\r\n", "\r\n", "\n"]);
    (line, vec(header, 0..5), end, body).prop_map(|(line, headers, end, body)| {
        let text = [&[line], &headers[..], &[end, body]].concat().concat();
        text.chars().map(|c| c as u8).collect()
    })
}

/// Requests that Envoy serves, plain ones and odd ones.
fn sound_message() -> impl Strategy<Value = Vec<u8>> {
    let line = select(vec![
        " /a HTTP/1.1\r\n",
        "\t/b?c=d  HTTP/1.1\n",
        " http://u@h:1/g HTTP/1.1\r\n",
        " /<`>?\"\" HTTP/1.1\r\n",
    ]);
    let header = select(vec![
        "Host: h\r\n",
        "X-A:1\n",
        "x: a\r\n b\r\n\tc\r\n",
        "x:\r\n",
        "y:\rcaf\u{e9}\tz \r\n",
        "Expect: 100-Continue\r\n",
        "te: trailers\r\n",
    ]);
    let (chunked, none) = ("transfer-encoding: Chunked\r\n", "");
    let body = select(vec![
        (none, ""),
        (none, ""),
        ("content-length: 0\r\n", ""),
        ("Content-Length:\r\n 003\n", "a\r\n"),
        ("content-length: 33\r\n", "GET /smuggled HTTP/1.1\r\nhost: h\r\n"),
        (chunked, "0\r\n\r\n"),
        (chunked, "3\r\nabc\r\n0\r\n\r\n"),
        (chunked, "003 x;y\r\na\r\n\r\n1;\"\r\nz?\n000;\r\n\n"),
        (chunked, "2\r\n\r\n\r\n0\r\nt: 1\r\n 2\r\nu:\n\r\n"),
        (chunked, "1C\r\nGET /smuggled HTTP/1.1\r\na:b\n\r\r0\n0\r\n\r\r\n\n"),
    ]);
    let lead = select(vec!["", "", "\r\n", "\n\r"]);
    let method = select(vec!["GET", "POST", "PURGE"]);
    let parts = (lead, method, line, vec(header, 0..4), body, select(vec!["\r\n", "\n"]));
    parts.prop_map(|(lead, method, line, headers, (framing, body), end)| {
        let headers = headers.concat();
        let text = [lead, method, line, &headers, framing, end, body].concat();
        text.chars().map(|c| c as u8).collect()
    })
}

/// Messages that may be kept as they are or damaged at one place.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let damage = prop_oneof![
        3 => Just(None),
        1 => (any::<prop::sample::Index>(), any::<u8>(), 0..3u8).prop_map(Some),
    ];
    let message = prop_oneof![4 => sound_message(), 1 => message()];
    (vec(message, 1..5), damage).prop_map(|(messages, damage)| {
        let mut bytes = messages.concat();
        if let Some((at, byte, how)) = damage {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

fn config() -> impl Strategy<Value = GateConfig> {
    use front_proxy::config::model::UnderscoresAction as Underscores;
    let underscores =
        select(vec![Underscores::Allow, Underscores::RejectRequest, Underscores::DropHeader]);
    (any::<[bool; 5]>(), underscores).prop_map(|(flags, underscores)| GateConfig {
        accept_http_10: flags[0],
        allow_chunked_length: flags[1],
        enable_trailers: flags[2],
        // With a small limit most heads are too large, which is worth a few cases only.
        max_head_bytes: if flags[3] && flags[4] { 64 } else { 60 * 1024 },
        underscores,
        ..GateConfig::default()
    })
}

fn split<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the bytes are cut, hyper sees the same requests and the client the same answers.
    #[test]
    fn cuts_do_not_matter(
        bytes in stream(),
        cuts in vec(any::<prop::sample::Index>(), 1..12),
        config in config(),
    ) {
        let whole = run(&[&bytes], &config);
        check(&whole);
        let cut = run(&split(&bytes, &cuts), &config);
        check(&cut);
        let whole = whole.without_the_broken();
        prop_assert_eq!(&whole, &cut.without_the_broken());
        let single: Vec<_> = bytes.chunks(1).collect();
        prop_assert_eq!(whole, run(&single, &config).without_the_broken());
    }

    /// Sound requests are served, all of them, and nothing inside a body is taken for one.
    #[test]
    fn sound_requests_are_served(
        messages in vec(sound_message(), 1..6),
        cuts in vec(any::<prop::sample::Index>(), 0..4),
        enable_trailers in any::<bool>(),
    ) {
        let config = GateConfig { enable_trailers, ..GateConfig::default() };
        let bytes = messages.concat();
        let outcome = run(&split(&bytes, &cuts), &config);
        check(&outcome);
        prop_assert_eq!(outcome.seen.len(), messages.len());
        prop_assert_eq!(outcome.phase, Phase::Idle);
        prop_assert!(!outcome.seen.iter().any(|line| line.starts_with("GET /smuggled")));
    }

    /// Arbitrary bytes neither panic nor confuse.
    #[test]
    fn any_bytes_do_no_harm(
        bytes in vec(any::<u8>(), 0..300),
        cuts in vec(any::<prop::sample::Index>(), 0..4),
        config in config(),
    ) {
        check(&run(&split(&bytes, &cuts), &config));
        let line = [b"POST /a HTTP/1.1\r\nhost: h\r\n", &bytes[..]].concat();
        check(&run(&split(&line, &cuts), &config));
        let line = [b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", &bytes[..]].concat();
        check(&run(&split(&line, &cuts), &config));
    }
}
