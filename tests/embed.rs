//! A bootstrap's routes as a service inside another app.

use axum::Router;
use axum::routing::get;
use front_proxy::stats::{Query, Registry, text};
use front_proxy_layers::forwarded::Peer;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use tokio::net::TcpListener;
use tower::ServiceExt;

#[tokio::test]
async fn an_app_does_what_a_bootstrap_says() {
    let upstream = upstream().await;
    let bootstrap = front_proxy::config::load_str(
        "bootstrap.yaml",
        &format!(
            r#"
static_resources:
  listeners:
  - name: ingress
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: 1 }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          use_remote_address: true
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: /api/ }}
                route: {{ cluster: api, prefix_rewrite: / }}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: api
    load_assignment:
      cluster_name: api
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {upstream} }} }} }}
"#
        ),
    )
    .expect("a bootstrap");
    let registry = Registry::new(1);
    let proxies = front_proxy::from_config(&bootstrap, &registry.scope()).await.expect("services");
    assert!(proxies.listener("egress").is_none());
    let proxy = proxies.listener("ingress").expect("the listener");
    drop(proxies);
    let app = Router::new().route("/", get(|| async { "the app" })).fallback_service(proxy);

    assert_eq!(ask(&app, "/").await, (StatusCode::OK, "the app".to_owned()));
    let upstreams = "GET /hello from 9.9.9.9".to_owned();
    assert_eq!(ask(&app, "/api/hello").await, (StatusCode::OK, upstreams));
    assert_eq!(ask(&app, "/elsewhere").await, (StatusCode::NOT_FOUND, String::new()));

    let page = text::render(registry.select(&Query::default()), Default::default());
    let page: String = page.map(|chunk| String::from_utf8_lossy(&chunk).into_owned()).collect();
    for line in ["cluster.api.upstream_rq_200: 1", "http.ingress.no_route: 1"] {
        assert!(page.lines().any(|l| l == line), "{line} in {page}");
    }
}

async fn ask(app: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).header("host", "h").body(Empty::<Bytes>::new());
    let mut request = request.expect("a request");
    request.extensions_mut().insert(Peer { address: ([9, 9, 9, 9], 9).into(), tls: false });
    let response = app.clone().oneshot(request).await.expect("infallible");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Says what it was asked, and for whom. Returns its port.
async fn upstream() -> u16 {
    let app = Router::new().fallback(|request: axum::extract::Request| async move {
        let client = request.headers()["x-forwarded-for"].to_str().expect("text").to_owned();
        format!("{} {} from {client}", request.method(), request.uri())
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    port
}
