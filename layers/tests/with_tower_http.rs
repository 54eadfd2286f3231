//! tower-http's layers around a proxy, and around each of its chain's ends.
#![cfg(feature = "axum")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use axum::routing::get as on_get;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::error::ErrorKind;
use front_proxy_layers::proxy::Proxy;
use front_proxy_layers::stats::Scope;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use support::{begin, cluster, cluster_of, get, get_with, listen, send};
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{Any, CorsLayer};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[tokio::test]
async fn all_of_them_at_once() {
    let text = "a text that is long enough to be worth being compressed. ".repeat(20);
    let app = Router::new().route("/text", on_get(async move || text));
    let app = app.route(
        "/id",
        on_get(async |request: Request| request.headers()[REQUEST_ID].to_str().unwrap().to_owned()),
    );
    let proxy = Proxy::new(cluster_of("c", app).await);
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(TraceLayer::new_for_http())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(9)))
        .layer(CorsLayer::new().allow_origin(Any).allow_methods([Method::PUT]))
        .layer(CompressionLayer::new());
    let app = listen(Router::new().fallback_service(proxy).layer(layers)).await;

    let (head, plain) = get_with(app, "/text", &[]).await;
    assert_eq!(head.headers["access-control-allow-origin"], "*");
    assert!(head.headers.contains_key("x-envoy-upstream-service-time"));
    let packed = http::Request::get("/text").header("host", "h").header("accept-encoding", "gzip");
    let (head, body) = send(app, packed.body(Default::default()).unwrap()).await;
    assert_eq!(head.headers["content-encoding"], "gzip");
    assert!(!head.headers.contains_key("content-length"));
    assert!(!body.is_empty() && body.len() < plain.len() / 2, "{} of {}", body.len(), plain.len());

    // One id from the app's edge to the upstream and back.
    let (head, answer) = get_with(app, "/id", &[]).await;
    assert_eq!(answer, format!("200 {}", head.headers[REQUEST_ID].to_str().unwrap()));

    // A preflight request is answered by the layer and does not reach the upstream.
    let preflight = http::Request::options("/text")
        .header("host", "h")
        .header("origin", "http://elsewhere")
        .header("access-control-request-method", "PUT");
    let (head, _) = send(app, preflight.body(Default::default()).unwrap()).await;
    assert_eq!(head.headers["access-control-allow-methods"], "PUT");
}

#[tokio::test]
async fn a_timeout_around_cancels_what_is_under_way() {
    let never = Router::new().fallback(std::future::pending::<()>);
    let cluster = cluster_of("never", never).await;
    let layer =
        TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(20));
    let app = Router::new().fallback_service(Proxy::new(cluster.clone())).layer(layer);
    assert_eq!(get(listen(app).await, "/").await, "504 ");
    let endpoint = &cluster.endpoints()[0];
    let active = &endpoint.stats().rq_active;
    assert_eq!(active.load(std::sync::atomic::Ordering::Relaxed), 0, "nothing is left behind");
}

#[tokio::test]
async fn compression_leaves_a_stream_a_stream() {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let told = Arc::new(Mutex::new(Some(told)));
    let app = Router::new().fallback(async move || {
        let mut told = told.lock().unwrap().take().unwrap();
        let pieces = futures_util::stream::poll_fn(move |cx| {
            told.poll_recv(cx).map(|piece| piece.map(Ok::<_, std::io::Error>))
        });
        Response::builder()
            .header("content-type", "text/plain")
            .body(Body::from_stream(pieces))
            .unwrap()
    });
    let proxy = Proxy::new(cluster_of("c", app).await);
    let app = listen(Router::new().fallback_service(proxy).layer(CompressionLayer::new())).await;
    let request = http::Request::get("/").header("host", "h").header("accept-encoding", "gzip");
    let mut response = begin(app, request.body(Default::default()).unwrap()).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    // A piece comes through before there is a next one.
    tell.send(vec![b'x'; 1 << 16].into()).unwrap();
    assert!(response.frame().await.unwrap().is_ok());
    drop(tell);
    response.collect().await.unwrap();
}

#[tokio::test]
async fn what_axum_knows_is_there_around_and_inside() {
    let (heard, seen) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let around = Arc::clone(&heard);
    let outside = move |request: Request, next: axum::middleware::Next| {
        let around = Arc::clone(&around);
        async move {
            let path = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned());
            let response = next.run(request).await;
            let kind = response.extensions().get::<ErrorKind>().copied();
            around.lock().unwrap().push((path, response.status().as_u16(), kind));
            response
        }
    };
    // A chain by hand, with a layer of another crate between those of the proxy.
    let inside = Arc::clone(&seen);
    let look = tower::util::MapRequestLayer::new(
        move |request: http::Request<front_proxy_layers::body::Body>| {
            let path = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned());
            inside.lock().unwrap().push(path);
            request
        },
    );
    let chain = ServiceBuilder::new()
        .layer(front_proxy_layers::respond::RespondLayer::new())
        .layer(front_proxy_layers::sanitize::SanitizeLayer::new())
        .layer(look)
        .service(front_proxy_layers::router::Router::forward(cluster("a").await));
    let app = Router::new()
        .route_service("/users/{id}", chain)
        .route_service("/gone/{*rest}", Proxy::new(Cluster::builder("empty").build()))
        .layer(axum::middleware::from_fn(outside));
    let app = listen(app).await;
    assert_eq!(get(app, "/users/7").await, "200 a GET /users/7");
    assert_eq!(get(app, "/gone/x").await, "503 no healthy upstream");
    assert_eq!(*seen.lock().unwrap(), [Some("/users/{id}".to_owned())]);
    let wanted = [
        (Some("/users/{id}".to_owned()), 200, None),
        (Some("/gone/{*rest}".to_owned()), 503, Some(ErrorKind::NoHealthyUpstream)),
    ];
    assert_eq!(*heard.lock().unwrap(), wanted);
}

/// Each layer that its module says stands alone does so around an app's own routes, all of them on
/// one `Router` with `layer`.
#[cfg(feature = "access-log")]
#[tokio::test]
async fn layers_stand_alone_around_an_apps_own_routes() {
    use front_proxy_layers::access_log::AccessLogLayer;
    use front_proxy_layers::forwarded::{ForwardedLayer, ForwardedPolicy};
    use front_proxy_layers::mount::MountLayer;
    use front_proxy_layers::request_id::RequestIdLayer;
    use front_proxy_layers::server_header::ServerHeaderLayer;
    use front_proxy_layers::stats::{DownstreamStats, StatsLayer};
    use front_proxy_layers::upgrade::UpgradeLayer;
    use front_proxy_layers::upstream_timing::UpstreamTimingLayer;

    let stats = Arc::new(DownstreamStats::new(&Scope::noop(), "app"));
    let handler = async |request: Request| {
        let header = |name| request.headers().get(name).map_or("-", |v| v.to_str().unwrap());
        format!("{} {}", header("x-forwarded-proto"), header("x-request-id").len())
    };
    let app = Router::new()
        .route("/alone", on_get(handler))
        .layer(UpstreamTimingLayer::new())
        .layer(RequestIdLayer::new().respond(true))
        .layer(ForwardedLayer::new(ForwardedPolicy::default()))
        .layer(ServerHeaderLayer::new(HeaderValue::from_static("mine")))
        .layer(AccessLogLayer::new(Vec::new()))
        .layer(StatsLayer::new(stats))
        .layer(UpgradeLayer::new())
        .layer(MountLayer::new());
    let (head, answer) = get_with(listen(app).await, "/alone", &[]).await;
    assert_eq!(answer, "200 http 36");
    assert_eq!(head.headers["server"], "mine");
    assert_eq!(head.headers["x-request-id"].len(), 36);
    assert!(head.headers.contains_key("x-envoy-upstream-service-time"));
}

/// The layers that need neighbours do so as well, around a handler in place of a cluster.
#[cfg(feature = "retry")]
#[tokio::test]
async fn layers_that_stand_together_do_so_around_an_apps_own_routes() {
    use std::sync::atomic::{AtomicU32, Ordering};

    use front_proxy_layers::buffer::BufferLayer;
    use front_proxy_layers::handler::HandlerLayer;
    use front_proxy_layers::hash_policy::HashPolicyLayer;
    use front_proxy_layers::respond::RespondLayer;
    use front_proxy_layers::retry::RetryLayer;
    use front_proxy_layers::route::{RetryOn, RetryPolicy};
    use front_proxy_layers::router::Router as Proxying;
    use front_proxy_layers::sanitize::SanitizeLayer;
    use front_proxy_layers::timeout::TimeoutLayer;
    use front_proxy_layers::upstream_stats::UpstreamStatsLayer;

    let tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    let flaky = async move |request: Request| {
        assert!(!request.headers().contains_key("keep-alive"));
        match counted.fetch_add(1, Ordering::Relaxed) {
            0 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        }
    };
    let own: Router = Router::new()
        .route("/flaky", on_get(flaky))
        .route("/never", on_get(std::future::pending::<()>));
    let stats = Cluster::builder("own").stats(Scope::noop()).build().stats().clone();
    let policy = RetryPolicy {
        on: RetryOn { five_xx: true, ..RetryOn::default() },
        num_retries: 1,
        ..RetryPolicy::default()
    };
    let handler = ServiceBuilder::new()
        .layer(UpstreamStatsLayer::new(stats))
        .layer(TimeoutLayer::new(Duration::from_secs(2)))
        .layer(HashPolicyLayer::new([]))
        .layer(RetryLayer::new(policy))
        .layer(BufferLayer::new(1000))
        .layer(HandlerLayer::new())
        .service(own);
    let service = ServiceBuilder::new()
        .layer(RespondLayer::new())
        .layer(SanitizeLayer::new())
        .service(Proxying::forward(handler));
    let app = listen(Router::new().fallback_service(service)).await;
    let (_, answer) = get_with(app, "/flaky", &[("keep-alive", "timeout=5")]).await;
    assert_eq!((answer.as_str(), tries.load(Ordering::Relaxed)), ("200 ", 2));
    assert_eq!(get(app, "/never").await, "504 upstream request timeout");
    assert_eq!(get(app, "/elsewhere").await, "404 ");
}

/// Bodies as people bring them, not all of them `Sync` or `Unpin`.
#[tokio::test]
async fn any_body_will_do() {
    use std::marker::PhantomPinned;
    use tower::ServiceExt;

    pin_project_lite::pin_project! {
        struct Odd { sent: bool, cell: std::cell::Cell<u8>, #[pin] pinned: PhantomPinned }
    }
    impl http_body::Body for Odd {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
            let this = self.project();
            let first = !std::mem::replace(this.sent, true);
            this.cell.set(1);
            std::task::Poll::Ready(first.then(|| Ok(http_body::Frame::data("odd".into()))))
        }
    }
    let echo = Router::new().fallback(async |body: String| body);
    let proxy = Proxy::new(cluster_of("echo", echo).await);
    async fn ask<B>(proxy: &Proxy, body: B) -> Bytes
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<front_proxy_layers::error::BoxError>,
    {
        let request = http::Request::post("/").header("host", "h").body(body).unwrap();
        let response = proxy.clone().oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    }
    assert_eq!(ask(&proxy, "text".to_owned()).await, "text");
    assert_eq!(ask(&proxy, Body::from("axum")).await, "axum");
    assert_eq!(ask(&proxy, http_body_util::Full::new(Bytes::from("full"))).await, "full");
    assert_eq!(
        ask(&proxy, Odd { sent: false, cell: 0.into(), pinned: PhantomPinned }).await,
        "odd"
    );
}
