//! What the routes of a [`Proxy`] can do.

mod support;

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use front_proxy_layers::proxy::{Proxy, Route, VirtualHost};
use front_proxy_layers::route::{
    AppendAction, HeaderAdd, HeaderEdits, Redirect, RouteMatch, RouteTableError,
};
use http::{HeaderName, Method, StatusCode};
use support::{cluster, cluster_of, get, get_with, listen};
use tower::ServiceExt;

async fn serve(proxy: Proxy) -> std::net::SocketAddr {
    listen(Router::new().fallback_service(proxy)).await
}

#[tokio::test]
async fn routes_go_by_more_than_a_prefix() {
    let (a, b) = (cluster("a").await, cluster("b").await);
    let (d, e) = (cluster("d").await, cluster("e").await);
    let tenant = HeaderName::from_static("x-tenant");
    let proxy = Proxy::builder()
        .route(RouteMatch::exact("/one"), a)
        .route(RouteMatch::below("/two"), b)
        .route(RouteMatch::prefix("/").header(tenant, "blue"), d)
        .route(
            RouteMatch::prefix("/").method(Method::DELETE),
            Route::answer(StatusCode::FORBIDDEN, ""),
        )
        .route("/", e);
    let proxy = serve(proxy.build()).await;
    for (path, name) in [("/one", 'a'), ("/one/x", 'e'), ("/two/x", 'b'), ("/twofold", 'e')] {
        assert_eq!(get(proxy, path).await, format!("200 {name} GET {path}"));
    }
    assert_eq!(get_with(proxy, "/x", &[("x-tenant", "blue")]).await.1, "200 d GET /x");
    let delete = http::Request::delete("/x").header("host", "h").body(Default::default()).unwrap();
    assert_eq!(support::send(proxy, delete).await.0.status, 403);
}

#[cfg(feature = "regex")]
#[tokio::test]
async fn a_route_goes_by_a_regular_expression() {
    let proxy = Proxy::builder()
        .route(RouteMatch::regex("/[0-9]+").unwrap(), cluster("a").await)
        .route("/", cluster("b").await);
    let proxy = serve(proxy.build()).await;
    assert_eq!(get(proxy, "/12").await, "200 a GET /12");
    assert_eq!(get(proxy, "/12x").await, "200 b GET /12x");
}

#[tokio::test]
async fn weights_share_requests_out() {
    let (a, b) = (cluster("a").await, cluster("b").await);
    let never = cluster("never").await;
    let route = Route::weighted([(3, a.clone()), (1, b.clone()), (0, never)]).unwrap();
    let proxy = serve(Proxy::builder().route("/", route).build()).await;
    let mut first = 0;
    for _ in 0..200 {
        let answer = get(proxy, "/").await;
        assert!(!answer.contains("never"), "{answer}");
        first += usize::from(answer == "200 a GET /");
    }
    // 150 are expected; six standard deviations off is one run in a billion.
    assert!((114..=186).contains(&first), "{first} of 200");
    assert!(Route::weighted([(0, a)]).is_err());
}

#[tokio::test]
async fn a_route_changes_path_and_headers() {
    let echo = any(async |request: Request| {
        let header = |name| request.headers().get(name).map_or("-", |v| v.to_str().unwrap());
        format!("{} {} {} {}", header("host"), request.uri(), header("x-added"), header("x-secret"))
    });
    let echo = cluster_of("echo", Router::new().fallback_service(echo)).await;
    let add = |name, value: &str| HeaderAdd {
        name: HeaderName::from_static(name),
        value: value.to_owned(),
        action: AppendAction::OverwriteIfExistsOrAdd,
        keep_empty_value: false,
    };
    let edits = HeaderEdits {
        request_add: vec![add("x-added", "%REQ(:METHOD)%")],
        request_remove: vec![HeaderName::from_static("x-secret")],
        response_add: vec![add("x-answered", "%RESPONSE_CODE%")],
        response_remove: vec![],
    };
    let route = Route::to(echo).host_rewrite("inner.example").unwrap();
    let route = route.prefix_rewrite("/v1/").headers(&edits).unwrap();
    let proxy = serve(Proxy::builder().route("/api/", route).build()).await;
    let (head, answer) = get_with(proxy, "/api/x?y", &[("x-secret", "s")]).await;
    assert_eq!(answer, "200 inner.example /v1/x?y GET -");
    assert_eq!(head.headers["x-answered"], "200");
    let not_a_format =
        HeaderEdits { request_add: vec![add("x", "%NO%")], ..HeaderEdits::default() };
    assert!(Route::answer(StatusCode::OK, "").headers(&not_a_format).is_err());
    assert!(Route::answer(StatusCode::OK, "").host_rewrite("a b").is_err());
}

#[tokio::test]
async fn a_route_answers_for_itself() {
    let away = Redirect { host: Some("new.example".into()), ..Redirect::default() };
    let proxy = Proxy::builder()
        .route("/old", Route::redirect(away).unwrap())
        .route("/teapot", Route::answer(StatusCode::IM_A_TEAPOT, "short and stout"));
    let proxy = serve(proxy.build()).await;
    let (head, _) = get_with(proxy, "/old/x", &[]).await;
    assert_eq!(head.status, 301);
    assert_eq!(head.headers["location"], "http://new.example/old/x");
    let (head, answer) = get_with(proxy, "/teapot", &[]).await;
    assert_eq!(answer, "418 short and stout");
    assert_eq!(head.headers["content-type"], "text/plain");
}

#[tokio::test]
async fn hosts_have_routes_of_their_own() {
    let (a, b, rest) = (cluster("a").await, cluster("b").await, cluster("rest").await);
    let proxy = Proxy::builder()
        .virtual_host(VirtualHost::new(["a.example", "*.a.example"]).route("/", a))
        .and_then(|builder| builder.virtual_host(VirtualHost::new(["b.example"]).route("/b", b)));
    let proxy = serve(proxy.unwrap().route("/", rest).build()).await;
    let ask = async |host: &str, path: &str| {
        let request = http::Request::get(path).header("host", host).body(Default::default());
        let (head, body) = support::send(proxy, request.unwrap()).await;
        format!("{} {}", head.status.as_u16(), String::from_utf8_lossy(&body))
    };
    assert_eq!(ask("a.example", "/").await, "200 a GET /");
    assert_eq!(ask("www.A.example", "/").await, "200 a GET /");
    assert_eq!(ask("b.example", "/b").await, "200 b GET /b");
    assert_eq!(ask("b.example", "/").await, "404 ");
    assert_eq!(ask("c.example", "/").await, "200 rest GET /");
}

#[test]
fn a_host_belongs_to_one() {
    let builder = || Proxy::builder().virtual_host(VirtualHost::new(["a.example"])).unwrap();
    for domains in [vec!["A.example"], vec!["b.example", "B.example"], vec!["*"]] {
        let domain = domains.last().unwrap().to_string();
        let error = builder().virtual_host(VirtualHost::new(domains)).unwrap_err();
        assert_eq!(error, RouteTableError::DuplicateDomain { domain });
    }
}

#[tokio::test]
async fn a_route_has_its_own_time() {
    let never = Router::new().fallback(std::future::pending::<()>);
    let never = cluster_of("never", never).await;
    let short = Some(Duration::from_millis(20));
    let proxy = Proxy::builder()
        .timeout(None)
        .route("/short", Route::to(never.clone()).timeout(short))
        .route("/idle", Route::to(never.clone()).idle_timeout(short))
        .route("/", never);
    let proxy = serve(proxy.build()).await;
    assert_eq!(get(proxy, "/short").await, "504 upstream request timeout");
    assert_eq!(get(proxy, "/idle").await, "504 stream timeout");
}

#[tokio::test]
async fn a_proxy_bounds_requests_and_whole_streams() {
    let never = Router::new().fallback(std::future::pending::<()>);
    let never = cluster_of("never", never).await;
    let short = Some(Duration::from_millis(20));
    let proxy = || Proxy::builder().timeout(None).route("/", never.clone());

    let request = http::Request::post("/").header("host", "h");
    let (_send, body) = http_body_util::Channel::<axum::body::Bytes>::new(1);
    let slow = proxy().request_timeout(short).build().oneshot(request.body(body).unwrap());
    assert_eq!(slow.await.unwrap().status(), StatusCode::REQUEST_TIMEOUT);

    let request = http::Request::get("/").header("host", "h").body(String::new());
    let long = proxy().max_stream_duration(short).build().oneshot(request.unwrap());
    assert_eq!(long.await.unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
}

#[cfg(feature = "access-log")]
#[tokio::test]
async fn requests_are_logged_with_their_route() {
    use std::sync::{Arc, Mutex};

    use front_proxy_layers::access_log::{AccessLogger, LogSink};
    use front_proxy_layers::format::Format;
    use front_proxy_layers::server_header::ServerHeaderLayer;
    use http::HeaderValue;

    #[derive(Debug, Default)]
    struct Lines(Mutex<Vec<String>>);
    impl LogSink for Lines {
        fn write(&self, line: &[u8]) {
            self.0.lock().unwrap().push(String::from_utf8_lossy(line).into_owned());
        }
    }
    let lines = Arc::new(Lines::default());
    let format = "%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %ROUTE_NAME% %UPSTREAM_CLUSTER%";
    let logger = AccessLogger::text(Format::parse(format).unwrap(), lines.clone());
    let proxy = Proxy::builder()
        .route("/a", Route::to(cluster("a").await).named("first"))
        .access_log(logger)
        .server_header(ServerHeaderLayer::new(HeaderValue::from_static("ours")));
    let proxy = serve(proxy.build()).await;
    let (head, _) = get_with(proxy, "/a?b", &[]).await;
    assert_eq!(head.headers["server"], "ours");
    assert_eq!(get(proxy, "/elsewhere").await, "404 ");
    let logged = lines.0.lock().unwrap().clone();
    assert_eq!(logged, ["GET /a?b 200 - first a", "GET /elsewhere 404 NR - -"]);
}
