//! What was found wanting in other reverse proxies for axum, each as a test of this one.
//!
//! The list is of `docs/comparison.md`, numbered as there. Tests that stand elsewhere are named
//! here; a test at the end of this file sees to it that they are still there.

mod raw;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use front_proxy_layers::access_log::{AccessLogger, LogSink};
use front_proxy_layers::cluster::{Cluster, ClusterBuilder};
use front_proxy_layers::discover::{Member, MemberSet};
use front_proxy_layers::endpoint::ConnectionOptions;
use front_proxy_layers::format::Format;
use front_proxy_layers::forwarded::{ForwardedPolicy, Peer};
use front_proxy_layers::http_connection_manager::ResponseBody;
use front_proxy_layers::proxy::Proxy;
use front_proxy_layers::route::{RetryOn, RetryPolicy};
use front_proxy_layers::stats::Scope;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Channel, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use raw::{Connection, Upstream};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Where the test of a defect stands, if not in this file.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    // (defect, file, test)
    (
        "1 a retry that is not made ready for",
        "tests/tower_contract.rs",
        "tries_are_made_ready_for_one_by_one",
    ),
    (
        "2 no limit to retries in flight",
        "src/retry/tests.rs",
        "the_breaker_bounds_retries_in_flight",
    ),
    ("2 tries in step", "src/retry/tests.rs", "tries_are_spaced_out"),
    ("2 request trailers lost in a retry", "src/retry/replay.rs", "trailers_are_repeated"),
    ("2 too large a body", "src/retry/tests.rs", "a_body_that_is_too_large_goes_through_but_once"),
    ("7 TTLs ignored", "tests/dns.rs", "addresses_come_with_the_lowest_ttl"),
    (
        "8 an upload in the upstream's time",
        "src/timeout/tests.rs",
        "the_route_timeout_starts_with_the_end_of_the_request",
    ),
    (
        "8 no idle timeout of bodies",
        "src/timeout/tests.rs",
        "the_idle_timeout_starts_anew_with_every_frame",
    ),
    ("9 what a request costs", "tests/allocations.rs", "a_plain_get_allocates_little"),
    (
        "12 whose x-forwarded-for counts",
        "src/forwarded/tests.rs",
        "the_client_is_who_trusted_proxies_say",
    ),
    ("14 clients of an app", "tests/proxy.rs", "the_clients_address_comes_from_connect_info"),
    (
        "15 a switch that nobody bridges",
        "tests/proxy.rs",
        "protocols_are_switched_where_that_was_said",
    ),
    ("17 paths behind a prefix", "src/mount/service.rs", "what_nesting_took_is_put_back"),
];

/// Defect 2: the body is read whole before its first byte goes on.
#[tokio::test]
async fn an_upload_streams_although_it_may_be_tried_again() {
    let upstream = Upstream::serve(|mut connection: Connection| async move {
        connection.head().await;
        let first = connection.until("first").await;
        connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\ngot\r\n").await;
        connection.until("second").await;
        connection.write("0\r\n\r\n").await;
        drop(first);
    });
    let upstream = upstream.await;
    let proxy = Proxy::builder().route("/", cluster(&upstream)).retry(retries()).build();
    let (mut send, body) = Channel::<Bytes, Infallible>::new(1);
    send.send_data(Bytes::from_static(b"first")).await.expect("taken");
    let request = Request::post("/").header("host", "h").body(body).expect("a request");
    // The upstream answers when it has the first piece; the second is not written yet.
    let response = within(proxy.oneshot(request)).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    send.send_data(Bytes::from_static(b"second")).await.expect("taken");
    drop(send);
    let body = within(response.into_body().collect()).await.expect("a body");
    assert_eq!(body.to_bytes(), "got");
}

/// Defect 2: a kept connection that the upstream has closed meanwhile is the client's 502.
#[tokio::test]
async fn a_kept_connection_that_died_is_made_up_for() {
    let upstream = Upstream::serve(|mut connection: Connection| async move {
        connection.head().await;
        connection.write(OK).await;
        // The second request on it is read, and the connection ends without an answer.
        connection.head().await;
    });
    let upstream = upstream.await;
    let proxy = Proxy::new(cluster(&upstream));
    for _ in 0..4 {
        let response = within(proxy.clone().oneshot(get("/"))).await.expect("infallible");
        assert_eq!(text(response).await, "200 ok");
        // Long enough to lie idle.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(upstream.connections(), 4, "each answered one request and let the next one down");
}

/// Defect 3: trailers of HTTP/1 get lost, for the header that announces them is taken off.
#[tokio::test]
async fn http1_trailers_reach_the_client() {
    let upstream = Upstream::serve(|mut connection: Connection| async move {
        connection.head().await;
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n";
        connection.write(head).await;
        connection.write("2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n").await;
    });
    let upstream = upstream.await;
    let options = ConnectionOptions { http1_trailers: true, ..ConnectionOptions::default() };
    let cluster = builder().endpoints([upstream.name()]).expect("an address");
    let cluster = cluster.connections(options).build();
    let mut client = Connection::to(serve_http1(Proxy::new(cluster)).await).await;
    client.write("GET / HTTP/1.1\r\nhost: h\r\nte: trailers\r\n\r\n").await;
    let answer = client.until("\r\n\r\n").await + &client.until("\r\n\r\n").await;
    assert!(answer.ends_with("2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"), "{answer}");
}

/// Defect 4: an endpoint that is new gets every request.
#[tokio::test]
async fn a_new_endpoint_gets_its_share() {
    let (old, new) = (answering("old").await, answering("new").await);
    let cluster = cluster(&old);
    let proxy = Proxy::new(cluster.clone());
    for _ in 0..10 {
        ask(&proxy, "/").await;
    }
    cluster.update([&old, &new].map(|upstream| Member::new(upstream.address)).to_vec());
    for _ in 0..10 {
        ask(&proxy, "/").await;
    }
    assert_eq!((old.heads().len(), new.heads().len()), (15, 5));
}

/// Defect 5: an endpoint that refuses at once looks fast, and draws all requests.
#[tokio::test]
async fn an_endpoint_that_refuses_draws_no_more_than_its_share() {
    let (one, two, dead) = (answering("1").await, answering("2").await, closed_port().await);
    let cluster = builder().endpoints([one.name(), two.name(), dead]);
    let cluster = cluster.expect("addresses").build();
    let proxy = Proxy::new(cluster.clone());
    let mut failed = 0;
    for _ in 0..30 {
        failed += usize::from(ask(&proxy, "/").await.starts_with("503"));
    }
    assert_eq!((failed, one.heads().len(), two.heads().len()), (10, 10, 10));
    // Where connecting again is allowed, nobody sees it.
    let proxy = Proxy::builder().route("/", cluster).retry(retries()).build();
    for _ in 0..30 {
        assert!(ask(&proxy, "/").await.starts_with("200"));
    }
}

/// Defect 6: a request is in flight until its head, and streams count for nothing.
#[tokio::test]
async fn a_stream_counts_until_its_end() {
    let upstream = Upstream::serve(|mut connection: Connection| async move {
        connection.head().await;
        connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n").await;
        connection.until("nothing ever").await;
    });
    let cluster = cluster(&upstream.await);
    let active = || cluster.endpoints()[0].stats().rq_active.load(Ordering::Relaxed);
    let response = within(Proxy::new(cluster.clone()).oneshot(get("/"))).await.expect("infallible");
    let mut body = response.into_body();
    within(body.frame()).await.expect("a frame").expect("data");
    assert_eq!(active(), 1, "it is still streaming");
    drop(body);
    assert_eq!(active(), 0);
}

/// Defect 7: an IPv6 address is put into a URL without brackets, and ends discovery.
#[tokio::test]
async fn endpoints_may_have_ipv6_addresses() {
    let upstream = Upstream::serve_at("[::1]:0", |mut connection: Connection| async move {
        while connection.next_head().await.is_some() {
            connection.write(OK).await;
        }
    });
    let upstream = upstream.await;
    let listed = builder().endpoints([upstream.name()]).expect("an address").build();
    assert_eq!(ask(&Proxy::new(listed), "/").await, "200 ok");
    let found = builder().build();
    found.update(vec![Member::new(upstream.address)]);
    assert_eq!(ask(&Proxy::new(found), "/").await, "200 ok");
}

/// Defect 10: each request that fails is an error in the log, so that an upstream's outage fills it.
#[tokio::test]
async fn a_failed_request_is_no_error_in_the_log() {
    let lines = Arc::new(AtomicUsize::new(0));
    let _counted = tracing::subscriber::set_default(CountLines(Arc::clone(&lines)));
    let proxy = Proxy::new(builder().endpoints([closed_port().await]).expect("ok").build());
    assert!(ask(&proxy, "/").await.starts_with("503"));
    assert_eq!(lines.load(Ordering::Relaxed), 0, "lines of level info or above");
}

/// Defect 11: nothing is counted, nothing is logged, and no request can be told from another.
#[tokio::test]
async fn requests_are_counted_logged_and_numbered() {
    let upstream = answering("ok").await;
    let (recorder, lines) = (Counts::default(), Lines::default());
    let format = Format::parse("%REQ(X-REQUEST-ID)% %RESPONSE_CODE% %RESPONSE_FLAGS%").unwrap();
    let logger = AccessLogger::text(format, Arc::new(lines.clone()));
    let proxy = metrics::with_local_recorder(&recorder, || {
        let stats = Scope::from_metrics();
        let served = builder().stats(stats.clone()).endpoints([upstream.name()]).expect("ok");
        let none = Cluster::builder("none").stats(stats.clone()).build();
        let proxy = Proxy::builder().route("/none", none).route("/", served.build());
        proxy.stats(&stats, "app").access_log(logger).build()
    });
    for path in ["/", "/", "/none"] {
        ask(&proxy, path).await;
    }
    for (name, cluster, count) in [
        ("envoy_http_downstream_rq_total", None, 3),
        ("envoy_http_downstream_rq_completed", None, 3),
        ("envoy_cluster_upstream_rq_total", Some("c"), 2),
        ("envoy_cluster_upstream_cx_total", Some("c"), 1),
        ("envoy_cluster_upstream_cx_none_healthy", Some("none"), 1),
    ] {
        assert_eq!(recorder.count(name, cluster), Some(count), "{name} {cluster:?}");
    }
    let heads = upstream.heads();
    let ids: Vec<_> = heads.iter().map(|head| field(head, "x-request-id")).collect();
    assert_ne!(ids[0], ids[1]);
    let logged = lines.0.lock().unwrap().clone();
    assert_eq!(logged[..2], [format!("{} 200 -", ids[0]), format!("{} 200 -", ids[1])]);
    assert!(logged[2].ends_with(" 503 UH"), "{logged:?}");
}

/// Defect 12: settings that make no sense are panics.
#[test]
fn an_endpoint_that_is_no_address_is_an_error() {
    for nonsense in ["nonsense", "", "http://127.0.0.1:80", "::1:80", "127.0.0.1:99999"] {
        builder().endpoints([nonsense]).expect_err(nonsense);
    }
}

/// Defect 13: hop-by-hop headers go through, and a client that closes its connection closes the
/// upstream's as well.
#[tokio::test]
async fn a_clients_connection_is_its_own() {
    let upstream = Upstream::serve(|mut connection: Connection| async move {
        while connection.next_head().await.is_some() {
            let head = "HTTP/1.1 200 OK\r\nkeep-alive: timeout=5\r\nproxy-connection: x\r\n";
            connection.write(head).await;
            connection.write("content-length: 2\r\n\r\nok").await;
        }
    });
    let upstream = upstream.await;
    let proxy = Proxy::new(cluster(&upstream));
    for _ in 0..3 {
        let mut request = get("/");
        for (name, value) in [
            ("connection", "close, x-mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=1"),
            ("proxy-connection", "close"),
            ("te", "gzip"),
        ] {
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        let response = within(proxy.clone().oneshot(request)).await.expect("infallible");
        for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding"] {
            assert!(!response.headers().contains_key(name), "{name} is the upstream connection's");
        }
        assert_eq!(text(response).await, "200 ok");
    }
    for head in upstream.heads() {
        let head = head.to_ascii_lowercase();
        for name in ["connection:", "x-mine:", "keep-alive:", "te:"] {
            assert!(!head.contains(&format!("\n{name}")), "{name} went upstream: {head}");
        }
    }
    assert_eq!(upstream.connections(), 1, "one upstream connection for all");
}

/// Defects 13 and 18: the `Host` that an upstream sees depends on the client's protocol, and a client
/// that speaks HTTP/2 can't reach an upstream that doesn't.
#[tokio::test]
async fn clients_of_both_protocols_get_the_same() {
    let upstream = answering("ok").await;
    let address = serve_both(Proxy::new(cluster(&upstream))).await;
    let request = || Request::get("http://example.com/x").body(Empty::<Bytes>::new());

    let io = TokioIo::new(TcpStream::connect(address).await.expect("connected"));
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
    tokio::spawn(connection);
    let response = within(send.send_request(request().expect("ok"))).await.expect("a response");
    assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));

    let mut client = Connection::to(address).await;
    client.write("GET /x HTTP/1.1\r\nhost: example.com\r\n\r\n").await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 200"));

    let heads = upstream.heads();
    assert_eq!(heads.len(), 2);
    for head in heads {
        assert!(head.starts_with("GET /x HTTP/1.1\r\n"), "{head}");
        assert_eq!(head.matches("example.com").count(), 1, "{head}");
        assert!(head.contains("host: example.com\r\n"), "{head}");
    }
}

/// Defect 14: no upstream is told who asked, and how.
#[tokio::test]
async fn the_upstream_is_told_who_asked_and_how() {
    let upstream = answering("ok").await;
    let edge = ForwardedPolicy {
        use_remote_address: true,
        via: Some("proxy".parse().expect("a value")),
        ..ForwardedPolicy::default()
    };
    let proxy = Proxy::builder().route("/", cluster(&upstream)).forwarded(edge).build();
    for tls in [false, true] {
        let mut request = get("/");
        // Who is connected at an edge is not whom the client says.
        request.headers_mut().insert("x-forwarded-for", "203.0.113.9".parse().expect("a value"));
        request.headers_mut().insert("x-forwarded-proto", "ftp".parse().expect("a value"));
        let address = "192.0.2.1:40000".parse().expect("an address");
        request.extensions_mut().insert(Peer { address, tls });
        let response = within(proxy.clone().oneshot(request)).await.expect("infallible");
        assert_eq!(text(response).await, "200 ok");
    }
    let told = ["x-forwarded-for", "x-forwarded-proto", "via"];
    let heads = upstream.heads();
    let told: Vec<_> = heads.iter().map(|head| told.map(|name| field(head, name))).collect();
    let whom = "203.0.113.9,192.0.2.1";
    assert_eq!(told, [[whom, "http", "proxy"], [whom, "https", "proxy"]]);
}

/// Defect 16: whatever fails is an empty 500.
#[tokio::test]
async fn failures_say_what_failed() {
    let gone = Proxy::new(builder().endpoints([closed_port().await]).expect("ok").build());
    let answer = ask(&gone, "/").await;
    assert!(answer.starts_with("503 upstream connect error"), "{answer}");

    let silent = Upstream::serve(|mut connection: Connection| async move {
        connection.until("nothing ever").await;
    });
    let proxy = Proxy::builder().route("/", cluster(&silent.await));
    let proxy = proxy.timeout(Some(Duration::from_millis(20))).build();
    assert_eq!(ask(&proxy, "/").await, "504 upstream request timeout");

    let none = Proxy::new(builder().build());
    assert_eq!(ask(&none, "/").await, "503 no healthy upstream");
}

/// gRPC as a whole, where several of the above meet: data both ways before either side has ended,
/// `te: trailers` upstream, the status in the trailers.
#[tokio::test]
async fn trailers_go_both_ways_over_http2() {
    let (listener, address) = bind().await;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            tokio::spawn(async move {
                assert_eq!(request.headers()["te"], "trailers");
                let mut body = request.into_body();
                let mut send = respond.send_response(Response::new(()), false).expect("a head");
                while let Some(Ok(data)) = body.data().await {
                    body.flow_control().release_capacity(data.len()).expect("room");
                    send.send_data(data, false).expect("data");
                }
                let trailers = body.trailers().await.expect("no reset").unwrap_or_default();
                send.send_trailers(trailers).expect("trailers");
            });
        }
    });
    let cluster = builder().endpoints([address.to_string()]).expect("ok").http2().build();
    let proxy = Proxy::builder().route("/", cluster).retry(retries()).build();
    let (mut send, body) = Channel::<Bytes, Infallible>::new(4);
    let request = Request::post("/").header("host", "h").header("te", "trailers").body(body);
    let response = proxy.oneshot(request.expect("a request"));
    send.send_data(Bytes::from_static(b"ping")).await.expect("taken");
    let mut body = within(response).await.expect("infallible").into_body();
    let frame = within(body.frame()).await.expect("a frame").expect("data");
    assert_eq!(frame.into_data().expect("data"), "ping", "before the request has ended");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("a value"));
    send.send(Frame::trailers(trailers)).await.expect("taken");
    drop(send);
    let rest = within(body.collect()).await.expect("the rest");
    assert_eq!(rest.trailers().expect("trailers")["grpc-status"], "0");
}

#[test]
fn tests_that_stand_elsewhere_are_there() {
    for (defect, file, test) in ELSEWHERE {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(&path).expect(file);
        assert!(text.contains(&format!("fn {test}(")), "{defect}: no test `{test}` in {file}");
    }
}

/// Counts lines of level info and above.
struct CountLines(Arc<AtomicUsize>);

impl tracing::Subscriber for CountLines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// Keeps counters by their names and clusters.
#[derive(Debug, Default)]
struct Counts(Mutex<HashMap<NameAndCluster, Arc<AtomicU64>>>);

type NameAndCluster = (String, Option<String>);

impl Counts {
    fn count(&self, name: &str, cluster: Option<&str>) -> Option<u64> {
        let counts = self.0.lock().unwrap();
        let count = counts.get(&(name.to_owned(), cluster.map(str::to_owned)))?;
        Some(count.load(Ordering::Relaxed))
    }
}

impl metrics::Recorder for Counts {
    fn describe_counter(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn describe_gauge(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn describe_histogram(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        let cluster = key.labels().find(|label| label.key() == "envoy_cluster_name");
        let cluster = cluster.map(|label| label.value().to_owned());
        let mut counts = self.0.lock().unwrap();
        let count = counts.entry((key.name().to_owned(), cluster)).or_default();
        metrics::Counter::from_arc(Arc::clone(count))
    }
    fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }
    fn register_histogram(
        &self,
        _: &metrics::Key,
        _: &metrics::Metadata<'_>,
    ) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl LogSink for Lines {
    fn write(&self, line: &[u8]) {
        self.0.lock().unwrap().push(String::from_utf8_lossy(line).into_owned());
    }
}

/// The value of a field of a head that an upstream got.
fn field<'h>(head: &'h str, name: &str) -> &'h str {
    let value = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_else(|| panic!("no {name} in {head}"))
}

fn builder() -> ClusterBuilder {
    // One shard: all connections are kept in one place.
    Cluster::builder("c").shards(1)
}

fn cluster(upstream: &Upstream) -> Cluster {
    builder().endpoints([upstream.name()]).expect("an address").build()
}

/// An upstream that always says this.
async fn answering(what: &'static str) -> Upstream {
    Upstream::serve(move |mut connection: Connection| async move {
        while connection.next_head().await.is_some() {
            let length = what.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{what}");
            connection.write(&answer).await;
        }
    })
    .await
}

async fn closed_port() -> String {
    bind().await.1.to_string()
}

async fn bind() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn retries() -> RetryPolicy {
    let on = RetryOn { connect_failure: true, five_xx: true, ..RetryOn::default() };
    RetryPolicy { on, ..RetryPolicy::default() }
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header("host", "h").body(Full::default()).expect("a request")
}

async fn ask(proxy: &Proxy, path: &str) -> String {
    text(within(proxy.clone().oneshot(get(path))).await.expect("infallible")).await
}

async fn text(response: Response<ResponseBody>) -> String {
    let status = response.status().as_u16();
    let body = within(response.into_body().collect()).await.expect("a body").to_bytes();
    format!("{status} {}", String::from_utf8_lossy(&body))
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it does not hang")
}

async fn serve_http1(proxy: Proxy) -> std::net::SocketAddr {
    let (listener, address) = bind().await;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        serve(stream, proxy, false).await;
    });
    address
}

/// Serves HTTP/2 on the first connection and HTTP/1 on the second.
async fn serve_both(proxy: Proxy) -> std::net::SocketAddr {
    let (listener, address) = bind().await;
    tokio::spawn(async move {
        for http2 in [true, false] {
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(serve(stream, proxy.clone(), http2));
        }
    });
    address
}

async fn serve(stream: TcpStream, proxy: Proxy, http2: bool) {
    let io = TokioIo::new(stream);
    let service = hyper::service::service_fn(move |request| proxy.clone().oneshot(request));
    // An error is the client's leaving.
    let _ = if http2 {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.serve_connection(io, service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
    };
}
