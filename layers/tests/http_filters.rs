//! Filters of a [`Proxy`]: layers of one's own among those of the proxy.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use front_proxy_layers::access_log::{AccessLogger, LogSink};
use front_proxy_layers::body::{Body, ResponseBody};
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::error::{ErrorKind, ProxyError};
use front_proxy_layers::fault::{Abort, FaultLayer, FaultSettings};
use front_proxy_layers::format::{Format, FormatContext};
use front_proxy_layers::http_connection_manager::RouteBody;
use front_proxy_layers::local_rate_limit::{
    LocalRateLimitLayer, LocalRateLimitSettings, TokenBucket,
};
use front_proxy_layers::proxy::{Proxy, ProxyBuilder, Route, VirtualHost};
use front_proxy_layers::route::Fraction;
use front_proxy_layers::stream_info::StreamInfo;
use http::{HeaderValue, StatusCode};
use support::{cluster_of, get, listen, send};
use tower::util::{AndThenLayer, MapRequestLayer};

/// What filters see of answers.
type Answer = http::Response<ResponseBody<RouteBody>>;

async fn serve(proxy: ProxyBuilder) -> std::net::SocketAddr {
    listen(Router::new().fallback_service(proxy.build())).await
}

/// Says which filters a request has passed.
async fn upstream() -> Cluster {
    let passed = any(async |request: Request| {
        let passed: Vec<_> = request.headers().get_all("x-passed").iter().collect();
        let passed: Vec<_> = passed.into_iter().filter_map(|value| value.to_str().ok()).collect();
        passed.join(" ")
    });
    cluster_of("upstream", Router::new().fallback_service(passed)).await
}

/// A filter that leaves a word with the request.
fn leave(
    word: &'static str,
) -> MapRequestLayer<impl Fn(http::Request<Body>) -> http::Request<Body> + Clone + Send + Sync> {
    MapRequestLayer::new(move |mut request: http::Request<Body>| {
        request.headers_mut().append("x-passed", HeaderValue::from_static(word));
        request
    })
}

fn abort(status: u16) -> FaultLayer {
    let status = StatusCode::from_u16(status).expect("a status");
    FaultLayer::new(FaultSettings {
        abort: Some(Abort::status(status, Fraction::ALL)),
        ..FaultSettings::default()
    })
}

#[tokio::test]
async fn requests_pass_them_in_their_order() {
    let proxy = Proxy::builder()
        .http_filter("one", leave("one"))
        .http_filter("two", leave("two"))
        .http_filter("three", leave("three"))
        .http_filter("one", leave("first"))
        .route("/", upstream().await);
    assert_eq!(get(serve(proxy).await, "/").await, "200 first two three");
}

#[tokio::test]
async fn the_most_specific_word_counts() {
    let upstream = upstream().await;
    let to = || Route::to(upstream.clone());
    let host = VirtualHost::new(["host.example"])
        .http_filter("one", leave("host-one"))
        .without_http_filter("two")
        .http_filter("own", leave("host-own"))
        .route("/one", to().http_filter("one", leave("route-one")))
        .route("/two", to().http_filter("two", leave("route-two")))
        .route("/none", to().without_http_filter("one").without_http_filter("own"))
        .route("/", to());
    let proxy = Proxy::builder()
        .http_filter("one", leave("one"))
        .http_filter("two", leave("two"))
        .virtual_host(host)
        .expect("one host")
        .route("/own", to().http_filter("own", leave("route-own")))
        .route("/", to());
    let proxy = serve(proxy).await;
    for (host, path, passed) in [
        ("elsewhere", "/", "one two"),
        ("elsewhere", "/own", "one two route-own"),
        ("host.example", "/", "host-one host-own"),
        ("host.example", "/one", "route-one host-own"),
        ("host.example", "/two", "host-one route-two host-own"),
        ("host.example", "/none", ""),
    ] {
        let request = http::Request::get(path).header("host", host).body(Default::default());
        let (_, body) = send(proxy, request.expect("a request")).await;
        assert_eq!(body, passed, "{host} {path}");
    }
}

#[tokio::test]
async fn what_is_answered_without_a_cluster_passes_them_too() {
    let proxy = Proxy::builder()
        .http_filter("fault", abort(418))
        .route("/answer", Route::answer(StatusCode::OK, "fine"))
        .route("/open", Route::answer(StatusCode::OK, "fine").without_http_filter("fault"));
    let proxy = serve(proxy).await;
    assert_eq!(get(proxy, "/answer").await, "418 fault filter abort");
    assert_eq!(get(proxy, "/open").await, "200 fine");
    assert_eq!(get(proxy, "/no/route").await, "418 fault filter abort");
}

#[tokio::test]
async fn only_the_routes_that_name_one_have_it() {
    let upstream = upstream().await;
    let proxy = Proxy::builder()
        .route("/broken", Route::to(upstream.clone()).http_filter("fault", abort(418)))
        .route("/", upstream);
    let proxy = serve(proxy).await;
    assert_eq!(get(proxy, "/broken").await, "418 fault filter abort");
    assert_eq!(get(proxy, "/").await, "200 ");
    assert_eq!(get(proxy, "/no/route").await, "200 ");
}

#[tokio::test]
async fn what_they_share_is_shared_by_all_routes() {
    let upstream = upstream().await;
    let bucket = TokenBucket::new(2, 1, Duration::from_secs(3600));
    let limit = LocalRateLimitLayer::new(Some(Arc::new(bucket)), LocalRateLimitSettings::default());
    let proxy = Proxy::builder()
        .http_filter("limit", limit)
        .route("/a", Route::to(upstream.clone()).http_filter("own", leave("own")))
        .route("/", upstream);
    let proxy = serve(proxy).await;
    assert_eq!(get(proxy, "/a").await, "200 own");
    assert_eq!(get(proxy, "/b").await, "200 ");
    assert_eq!(get(proxy, "/a").await, "429 local_rate_limited");
}

#[tokio::test]
async fn a_filter_fails_like_the_proxy_does() {
    let lines = Lines::default();
    let logger = Format::parse("%RESPONSE_CODE% %RESPONSE_FLAGS% %ROUTE_NAME%").unwrap();
    let fail = AndThenLayer::new(async |_: Answer| {
        Err::<Answer, _>(ProxyError::new(ErrorKind::NoHealthyUpstream))
    });
    let upstream = upstream().await;
    let proxy = Proxy::builder()
        .access_log(AccessLogger::text(logger, Arc::new(lines.clone())))
        .route("/fails", Route::to(upstream.clone()).named("fails").http_filter("fail", fail))
        .route("/", Route::to(upstream).named("all"));
    let proxy = serve(proxy).await;
    assert_eq!(get(proxy, "/fails").await, "503 no healthy upstream");
    assert_eq!(get(proxy, "/").await, "200 ");
    assert_eq!(*lines.0.lock().unwrap(), ["503 UH fails", "200 - all"]);
}

#[tokio::test]
async fn a_filter_knows_the_route() {
    let note = MapRequestLayer::new(|mut request: http::Request<Body>| {
        let info = StreamInfo::of(request.extensions()).expect("what is known of the request");
        let known = format!("{:?} {:?}", info.route_name(), info.upstream_cluster());
        let known = HeaderValue::from_str(&known).expect("a value");
        request.headers_mut().insert("x-passed", known);
        request
    });
    let upstream = upstream().await;
    let proxy =
        Proxy::builder().route("/", Route::to(upstream).named("all").http_filter("note", note));
    let answer = get(serve(proxy).await, "/").await;
    assert_eq!(answer, r#"200 Some("all") Some("upstream")"#);
}

#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl LogSink for Lines {
    fn write(&self, line: &[u8]) {
        self.0.lock().unwrap().push(String::from_utf8_lossy(line).into_owned());
    }
}
