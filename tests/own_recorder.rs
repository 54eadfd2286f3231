//! The layers in an app that has a metrics recorder of its own, or none.

use std::net::SocketAddr;

use axum::Router;
use bytes::Bytes;
use front_proxy::admin::{AdminState, router};
use front_proxy::stats::Registry;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::proxy::Proxy;
use front_proxy_layers::stats::Scope;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use metrics_exporter_prometheus::PrometheusBuilder;
use tower::ServiceExt as _;

/// A proxy to an app that says hello, recording into whatever recorder there is now.
fn proxy(service: SocketAddr) -> Proxy {
    let cluster = Cluster::builder("service1").stats(Scope::from_metrics());
    let cluster = cluster.endpoints([service.to_string()]).expect("an address").build();
    Proxy::builder().route("/", cluster).stats(&Scope::from_metrics(), "app").build()
}

async fn service() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().fallback(|| async { "hello" });
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn get(proxy: &Proxy) {
    let request = Request::get("/").header("host", "h").body(Empty::<Bytes>::new());
    let response = proxy.clone().oneshot(request.expect("a request")).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.into_body().collect().await.expect("a body").to_bytes(), "hello");
}

#[tokio::test]
async fn stats_stand_beside_the_apps_own_metrics() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let exporter = recorder.handle();
    let service = service().await;
    let _current = metrics::set_default_local_recorder(&recorder);
    let proxy = proxy(service);
    metrics::counter!("greetings").increment(7);
    for _ in 0..3 {
        get(&proxy).await;
    }
    let page = exporter.render();
    for line in [
        "greetings 7",
        r#"envoy_cluster_upstream_rq_total{envoy_cluster_name="service1"} 3"#,
        r#"envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="service1"} 3"#,
        r#"envoy_cluster_upstream_rq_active{envoy_cluster_name="service1"} 0"#,
        r#"envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="app"} 3"#,
        r#"envoy_http_downstream_rq_time_count{envoy_http_conn_manager_prefix="app"} 3"#,
        "# TYPE envoy_cluster_upstream_cx_total counter",
        "# TYPE envoy_cluster_membership_total gauge",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}:\n{page}");
    }
    // Who accepts connections is the app's server: nothing says that there were none.
    assert!(!page.contains("downstream_cx_total"), "{page}");
}

#[tokio::test]
async fn without_a_recorder_nothing_is_counted_and_all_is_served() {
    let proxy = proxy(service().await);
    get(&proxy).await;
}

/// The app goes on with its own page for its own metrics, and the admin pages have the proxy's: none
/// counts what the other does.
#[tokio::test]
async fn the_admin_pages_stand_beside_the_apps_own_page() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let exporter = recorder.handle();
    let service = service().await;
    let _current = metrics::set_default_local_recorder(&recorder);
    metrics::counter!("greetings").increment(7);
    let registry = Registry::new(1);
    let scope = registry.scope();
    let cluster = Cluster::builder("service1").stats(scope.clone());
    let cluster = cluster.endpoints([service.to_string()]).expect("an address").build();
    let proxy = Proxy::builder().route("/", cluster).stats(&scope, "app");
    let state = AdminState::new(registry).clusters(proxy.clusters());
    let app = Router::new()
        .route("/metrics", axum::routing::get(async move || exporter.render()))
        .nest("/admin", router(state))
        .fallback_service(proxy.build());
    let page = async |path: &str| {
        let request = Request::get(path).header("host", "h").body(axum::body::Body::empty());
        let response = app.clone().oneshot(request.expect("a request")).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        String::from_utf8(body.to_vec()).expect("text")
    };
    assert_eq!(page("/hello").await, "hello");
    assert_eq!(page("/metrics").await, "# TYPE greetings counter\ngreetings 7\n\n");
    let scraped = page("/admin/stats/prometheus").await;
    let line = "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"service1\"} 1";
    assert!(scraped.lines().any(|found| found == line), "{scraped}");
    assert!(!scraped.contains("greetings"));
    let info = page("/admin/server_info").await;
    assert!(info.contains("\"state\": \"LIVE\""), "{info}");
    assert!(page("/admin/clusters").await.contains("service1::observability_name::service1"));
}
