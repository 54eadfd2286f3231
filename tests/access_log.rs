//! Access logs of a whole proxy: what is written of each request, and when it reaches the file.

mod process_support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use front_proxy::access_log::FlushOptions;
use front_proxy::config;
use front_proxy::server::{Server, ServerOptions};
use front_proxy::stats::{Query, StatValue};
use tokio::io::AsyncWriteExt as _;

use process_support::bootstrap::{Bootstrap, cluster};

/// Answers each request on a connection of its own, by its path: `/cut` breaks off inside the body,
/// `/hang` and `/chunks` never
/// answer, everything else gets `hello`.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    if text.contains("/hang") || text.contains("/chunks") {
        // Until the proxy gives up.
        while matches!(stream.read(&mut buffer), Ok(1..)) {}
        return;
    }
    if text.contains("/switch") {
        let head = "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        return;
    }
    let body = "hello";
    let length = if text.contains("/cut") { 100 } else { body.len() };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
    // What is left of a request body is read, or the close would reset the connection.
    let _ = stream.shutdown(Shutdown::Write);
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
}

/// A bootstrap whose one listener logs as `access_log` says.
fn bootstrap(backend: SocketAddr, access_log: &str) -> String {
    let upgrades = "          upgrade_configs: [{upgrade_type: websocket}]\n";
    let manager = &format!("{upgrades}          access_log:\n{access_log}");
    let routes = r"
              - match: {prefix: /direct}
                direct_response: {status: 200, body: {inline_string: d}}
              - match: {prefix: /edited}
                response_headers_to_add: [{header: {key: x-a, value: b}}]
                direct_response: {status: 200}
              - match: {prefix: /moved}
                response_headers_to_add: [{header: {key: x-a, value: b}}]
                redirect: {path_redirect: /new}
              - match: {prefix: /empty}
                route: {cluster: empty}
              - match: {prefix: /app}
                name: app
                route: {cluster: app, timeout: 0.3s}
              - match: {prefix: /again}
                route:
                  cluster: app
                  retry_policy: {retry_on: retriable-status-codes, retriable_status_codes: [200]}
              - match: {prefix: /hang}
                route: {cluster: app}";
    let clusters = &(cluster("app", "", &[backend.port()]) + "  - name: empty\n");
    Bootstrap { manager, routes, clusters, ..Bootstrap::default() }.yaml()
}

fn file(path: &Path, more: &str) -> String {
    format!(
        r#"          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {}
{more}"#,
        path.display()
    )
}

fn text(format: &str) -> String {
    format!(
        "              log_format: {{text_format_source: {{inline_string: \"{format}\\n\"}}}}\n"
    )
}

async fn start(bootstrap: &str, log_flush: FlushOptions) -> (Server, SocketAddr) {
    let bootstrap = config::load_str("test.yaml", bootstrap).expect("a valid configuration");
    let options = ServerOptions { log_flush, ..ServerOptions::default() };
    let server = Server::start(bootstrap, options).await.expect("started");
    let (_, address) = server.listeners().next().expect("a listener");
    (server, address)
}

/// Sends bytes and returns all that comes back until the connection closes or `wait` is over.
async fn exchange(address: SocketAddr, bytes: &str, wait: Duration) -> String {
    let bytes = bytes.to_owned();
    let exchanged = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(wait)).expect("set");
        stream.write_all(bytes.as_bytes()).expect("sent");
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            all.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8_lossy(&all).into_owned()
    });
    exchanged.await.expect("no panic")
}

/// Sends bytes, then more when the first have been taken up.
async fn in_two(address: SocketAddr, first: &str, then: &str) {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
    stream.write_all(first.as_bytes()).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(100)).await;
    stream.write_all(then.as_bytes()).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).expect("a log").lines().map(str::to_owned).collect()
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A counter of the listener's connection manager.
fn counted(server: &Server, name: &str) -> u64 {
    let name = format!("http.ingress_http.downstream_{name}");
    match server.stats().select(&Query::default()).value(&name) {
        Some(StatValue::Counter(value)) => value,
        other => panic!("{name} is {other:?}"),
    }
}

const NEVER: FlushOptions =
    FlushOptions { interval: Duration::from_secs(3600), min_size: 64 * 1024 };

const SOON: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn every_ending_is_logged_as_envoy_words_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.log");
    let format = "%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% \
                  %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER% \
                  %UPSTREAM_HOST% %ROUTE_NAME% %UPSTREAM_REQUEST_ATTEMPT_COUNT%";
    let backend = backend();
    let bootstrap = bootstrap(backend, &file(&path, &text(format)));
    let (server, address) = start(&bootstrap, NEVER).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n");
    for request in [
        get("/app"),
        "POST /app/post HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc".to_owned(),
        get("/app/cut"),
        get("/again"),
        "GET /app/switch HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
            .to_owned(),
        get("/empty"),
        get("/none"),
        get("/direct"),
        "HEAD /direct HTTP/1.1\r\nhost: h\r\n\r\n".to_owned(),
        // The client leaves before the answer.
        get("/hang"),
        "NONSENSE\r\n\r\n".to_owned(),
        "POST /app/chunk HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"
            .to_owned(),
    ] {
        exchange(address, &request, SOON).await;
    }
    let chunks =
        "POST /app/chunks HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    in_two(address, chunks, "zz\r\n").await;
    // Longer than the route's timeout.
    exchange(address, &get("/app/hang"), Duration::from_millis(600)).await;
    server.shutdown().await;

    let host = backend.to_string();
    let expected = [
        format!("GET /app 200 - via_upstream 0 5 app {host} app 1"),
        format!("POST /app/post 200 - via_upstream 3 5 app {host} app 1"),
        format!(
            "GET /app/cut 200 UPE upstream_reset_after_response_started{{protocol_error}} 0 5 \
             app {host} app 1"
        ),
        format!("GET /again 200 URX via_upstream 0 5 app {host} - 2"),
        format!(
            "GET /app/switch 101 UC upstream_reset_after_response_started{{connection_termination}} \
             0 0 app {host} app 1"
        ),
        "GET /empty 503 UH no_healthy_upstream 0 19 empty - - 1".to_owned(),
        "GET /none 404 NR route_not_found 0 0 - - - 0".to_owned(),
        "GET /direct 200 - direct_response 0 1 - - - 0".to_owned(),
        "HEAD /direct 200 - direct_response 0 0 - - - 0".to_owned(),
        format!("GET /hang 0 DC downstream_remote_disconnect 0 0 app {host} - 1"),
        "- - 400 DPE http1.codec_error 0 11 - - - 0".to_owned(),
        // What came along with the head was broken: no upstream has heard of it.
        "POST /app/chunk 400 DPE http1.codec_error 0 11 - - - 0".to_owned(),
        format!("POST /app/chunks 400 DPE http1.codec_error 3 11 app {host} app 1"),
        format!("GET /app/hang 504 UT response_timeout 0 24 app {host} app 1"),
    ];
    assert_eq!(lines(&path), expected);
}

/// Wherever in its request a client leaves, and whichever way, it is the same to the counters.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_middle_is_counted_and_logged() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.log");
    let format = "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %PROTOCOL%";
    let bootstrap = bootstrap(backend(), &file(&path, &text(format)));
    let (server, address) = start(&bootstrap, NEVER).await;
    const POST: &str = "POST /hang HTTP/1.1\r\nhost: h\r\n";
    let left = [
        (None, String::new()),
        (Some("-"), "PRI * HT".to_owned()),
        (Some("-"), "\r\n".to_owned()),
        (Some("-"), "GET / HTTP/1.1\r\nho".to_owned()),
        (Some("/hang"), format!("{POST}content-length: 5\r\n\r\n")),
        (Some("/hang"), format!("{POST}content-length: 5\r\n\r\nab")),
        (Some("/hang"), format!("{POST}transfer-encoding: chunked\r\n\r\n3\r\nab")),
        (Some("/hang"), "GET /hang HTTP/1.1\r\nhost: h\r\n\r\n".to_owned()),
    ];
    let mut expected = Vec::new();
    let (mut sent, mut closed) = (0, 0);
    for (logged, bytes) in &left {
        for reset in [false, true] {
            let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
            stream.write_all(bytes.as_bytes()).await.expect("sent");
            sent += bytes.len() as u64;
            // Or a reset takes along what nobody has read yet.
            eventually("read", || counted(&server, "cx_rx_bytes_total") == sent).await;
            if reset {
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("set");
            }
            drop(stream);
            closed += 1;
            eventually("closed", || counted(&server, "cx_destroy") == closed).await;
            expected.extend(
                logged.map(|path| format!("{path} 0 DC downstream_remote_disconnect HTTP/1.1")),
            );
        }
    }
    let begun = expected.len() as u64;
    for (stat, value) in [
        ("rq_total", begun),
        ("rq_rx_reset", begun),
        ("cx_destroy_remote", closed),
        ("cx_destroy_remote_active_rq", begun),
        ("rq_completed", 0),
        ("rq_4xx", 0),
        ("rq_response_before_rq_complete", 0),
    ] {
        assert_eq!(counted(&server, stat), value, "{stat}");
    }
    server.shutdown().await;
    assert_eq!(lines(&path), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_made_here_is_logged_with_the_request_as_the_router_saw_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.log");
    let format = "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %REQ(X-FORWARDED-PROTO)%";
    let (server, address) = start(&bootstrap(backend(), &file(&path, &text(format))), NEVER).await;
    for path in ["/direct", "/edited", "/moved"] {
        exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n"), SOON).await;
    }
    server.shutdown().await;
    // What a layer before the router has added.
    let expected = [
        "/direct 200 direct_response http",
        "/edited 200 direct_response http",
        "/moved 301 direct_response http",
    ];
    assert_eq!(lines(&path), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_an_http2_stream_ended_is_logged_as_envoy_flags_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.log");
    let format = "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%";
    let (server, address) = start(&bootstrap(backend(), &file(&path, &text(format))), NEVER).await;
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let [high, low] = u16::try_from(payload.len()).expect("short").to_be_bytes();
        [&[0, high, low, kind, flags, 0, 0, 0, stream][..], payload].concat()
    };
    for (path, then) in [
        ("/hang/cut", vec![]),
        ("/hang/reset", frame(3, 0, 1, &[0, 0, 0, 8])),
        // A PING of three bytes.
        ("/hang/broken", frame(6, 0, 0, b"abc")),
        // Another request, with more headers than there may be: `a: b` 100 times, not indexed.
        (
            "/hang/many",
            frame(
                1,
                5,
                3,
                &[&b"\x82\x86\x84\x41\x01h"[..], &b"\x00\x01a\x01b".repeat(100)].concat(),
            ),
        ),
    ] {
        let len = u8::try_from(path.len()).expect("short");
        // GET, http, the path, and the authority h.
        let head = [b"\x82\x86\x04", &[len][..], path.as_bytes(), b"\x41\x01h"].concat();
        let begin = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(4, 0, 0, &[]),
            frame(1, 5, 1, &head),
        ];
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
        stream.write_all(&begin.concat()).await.expect("sent");
        tokio::time::sleep(Duration::from_millis(150)).await;
        stream.write_all(&then).await.expect("sent");
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let mut closed = 4;
    eventually("closed", || counted(&server, "cx_destroy") == closed).await;
    // Heads of which nothing becomes a request: one that does not end, and one with a name in capitals.
    for head in
        [frame(1, 1, 1, b"\x82\x86\x84"), frame(1, 5, 1, b"\x82\x86\x84\x41\x01h\x00\x01A\x01b")]
    {
        let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[]), head];
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
        stream.write_all(&begin.concat()).await.expect("sent");
        drop(stream);
        closed += 1;
        eventually("closed", || counted(&server, "cx_destroy") == closed).await;
    }
    // The requests, and not the connections: those were closed by the clients.
    assert_eq!(counted(&server, "cx_destroy_local_active_rq"), 2);
    server.shutdown().await;
    let expected = [
        "/hang/cut 0 DC downstream_remote_disconnect",
        "/hang/reset 0 DR http2.remote_reset",
        "/hang/broken 0 DPE codec_error",
        "- 0 DR http2.too_many_headers",
        "/hang/many 0 DC downstream_remote_disconnect",
        "- 0 DC downstream_remote_disconnect",
        "- 0 DPE codec_error",
    ];
    assert_eq!(lines(&path), expected);
}

/// Answers the first request of its first connection, and closes at the second as if it had been
/// closing already. Tells where its connections come from.
fn forgetful() -> (SocketAddr, std::sync::mpsc::Receiver<SocketAddr>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for (stream, requests) in listener.incoming().flatten().zip([1, 9]) {
            let _ = tell.send(stream.peer_addr().expect("connected"));
            let mut reader = std::io::BufReader::new(stream);
            for nth in 0.. {
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    match std::io::BufRead::read_line(&mut reader, &mut line) {
                        Ok(1..) => {}
                        _ => break,
                    }
                }
                if nth == requests {
                    break;
                }
                let _ = reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            }
        }
    });
    (address, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_repeated_on_a_fresh_connection_is_logged_with_that_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.log");
    let format = "%REQ(:PATH)% %RESPONSE_CODE% %UPSTREAM_LOCAL_ADDRESS%";
    let (backend, connections) = forgetful();
    let (server, address) = start(&bootstrap(backend, &file(&path, &text(format))), NEVER).await;
    for path in ["/app/1", "/app/2"] {
        exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n"), SOON).await;
    }
    server.shutdown().await;
    let of = |what: &str| connections.recv_timeout(Duration::from_secs(5)).expect(what);
    let (first, second) = (of("a connection"), of("a fresh one"));
    assert_eq!(lines(&path), [format!("/app/1 200 {first}"), format!("/app/2 200 {second}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_log_keeps_types_and_a_filter_keeps_to_its_codes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (json, errors) = (folder.path().join("json.log"), folder.path().join("errors.log"));
    let json_format = "              log_format: {json_format: {code: \"%RESPONSE_CODE%\", \
                       path: \"%REQ(:PATH)%\", none: \"%REQ(x-none)%\"}}\n";
    let filter = "            filter: {status_code_filter: {comparison: {op: GE, value: \
                  {default_value: 400, runtime_key: k}}}}\n";
    let logs = file(&json, json_format) + &file(&errors, &(text("%REQ(:PATH)%") + filter));
    let (server, address) = start(&bootstrap(backend(), &logs), NEVER).await;
    for path in ["/direct", "/none"] {
        exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n"), SOON).await;
    }
    server.shutdown().await;
    assert_eq!(
        lines(&json),
        [
            r#"{"code":200,"none":null,"path":"/direct"}"#,
            r#"{"code":404,"none":null,"path":"/none"}"#
        ]
    );
    assert_eq!(lines(&errors), ["/none"]);
}

/// As Envoy 1.40 was seen to choose.
#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_the_requests_is_logged_by_their_ids() {
    let folder = tempfile::tempdir().expect("a folder");
    let fields = [
        "runtime_key: a, percent_sampled: {numerator: 50, denominator: TEN_THOUSAND}",
        // The runtime says how many of the hundred.
        "runtime_key: b, percent_sampled: {numerator: 50}",
        "runtime_key: c, percent_sampled: {numerator: 50}",
        "runtime_key: d",
        "runtime_key: e, percent_sampled: {numerator: 1, denominator: MILLION}, \
         use_independent_randomness: true",
    ];
    let logs = fields.map(|fields| (folder.path().join(&fields[13..14]), fields));
    let log = |(path, fields): &(PathBuf, &str)| {
        let filter = format!("            filter: {{runtime_filter: {{{fields}}}}}\n");
        file(path, &(text("%REQ(N)%") + &filter))
    };
    let runtime = "layered_runtime: {layers: [{name: s, static_layer: {b: 25, \
                   c: {numerator: 25, denominator: MILLION}}}]}\n";
    let all: String = logs.iter().map(log).collect();
    let (server, address) = start(&(runtime.to_owned() + &bootstrap(backend(), &all)), NEVER).await;
    for n in [0, 24, 25, 49, 50, 125, 149, 150, 10_049] {
        let id = format!("n: {n}\r\nx-request-id: {n:08x}-0000-4000-8000-000000000000");
        let request = format!("GET /direct HTTP/1.1\r\nhost: h\r\n{id}\r\n\r\n");
        exchange(address, &request, SOON).await;
    }
    server.shutdown().await;
    let logged = |at: usize| lines(&logs[at].0).join(" ");
    assert_eq!(logged(0), "0 24 25 49 10049");
    assert_eq!(logged(1), "0 24");
    assert_eq!(logged(2), "0 24 25 49 125 149 10049", "a fraction is no number");
    assert_eq!(logged(3), "");
    assert!(lines(&logs[4].0).len() < 5, "hardly one in a million");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_moved_away_is_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, moved) = (folder.path().join("a.log"), folder.path().join("a.log.1"));
    let options = FlushOptions { interval: Duration::from_millis(20), ..FlushOptions::default() };
    let logs = file(&path, &text("%REQ(:PATH)%"));
    let (server, address) = start(&bootstrap(backend(), &logs), options).await;
    exchange(address, "GET /direct/1 HTTP/1.1\r\nhost: h\r\n\r\n", SOON).await;
    eventually("written in time", || lines(&path) == ["/direct/1"]).await;
    std::fs::rename(&path, &moved).expect("moved");
    server.reopen_logs();
    eventually("made anew", || path.exists()).await;
    exchange(address, "GET /direct/2 HTTP/1.1\r\nhost: h\r\n\r\n", SOON).await;
    server.shutdown().await;
    assert_eq!(lines(&path), ["/direct/2"]);
    assert_eq!(lines(&moved), ["/direct/1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_can_not_be_opened_is_an_error_at_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sub").join("a.log");
    std::fs::create_dir(folder.path().join("sub")).expect("made");
    let bootstrap = bootstrap(backend(), &file(&path, ""));
    let bootstrap = config::load_str("test.yaml", &bootstrap).expect("a valid configuration");
    std::fs::remove_dir(folder.path().join("sub")).expect("removed");
    let error = Server::start(bootstrap, ServerOptions::default()).await.expect_err("no file");
    assert!(error.to_string().contains("unable to open file"), "{error}");
}
