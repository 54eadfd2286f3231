//! An Envoy bootstrap inside an app: its listener's routes are a service that the app mounts, its
//! clusters and its text show on the app's admin pages. The same text runs standalone, with
//! `front-proxy -c <file>`, and does the same to requests there.
//!
//! ```text
//! cargo run --example from_bootstrap
//! curl localhost:3000/             # the app
//! curl -i localhost:3000/api/x    # by the bootstrap: a rewrite, an added header
//! curl localhost:3000/admin/clusters
//! curl localhost:3000/admin/config_dump?resource=static_clusters
//! ```
//!
//! Next: read the text with `config::load_file`; give the listener an access log.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use front_proxy::admin::{self, AdminState};
use front_proxy::config;
use front_proxy::stats::Registry;
use front_proxy_layers::mount::MountLayer;
use tokio::net::TcpListener;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let text = BOOTSTRAP.replace("PORT", &service().await?.to_string());
    let bootstrap = config::load_str("bootstrap.yaml", &text)?;

    let stats = Registry::default();
    let proxies = front_proxy::from_config(&bootstrap, &stats.scope()).await?;
    let ingress = proxies.listener("ingress").ok_or("no such listener")?;
    // The app knows who is connected; `use_remote_address` below wants to.
    let ingress =
        ServiceBuilder::new().layer(MountLayer::new().connect_info(false)).service(ingress);
    let admin = AdminState::new(stats).config(Arc::new(proxies.clone())).clusters(proxies);
    let app = Router::new()
        .route("/", get(|| async { "the app itself\n" }))
        .nest_service("/admin", admin::router(admin))
        .fallback_service(ingress);

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

/// The address of the listener is not used here.
const BOOTSTRAP: &str = r#"
static_resources:
  listeners:
  - name: ingress
    address: { socket_address: { address: 0.0.0.0, port_value: 8080 } }
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
              response_headers_to_add:
              - header: { key: x-by, value: "%UPSTREAM_CLUSTER%" }
              routes:
              - match: { prefix: /api/ }
                route: { cluster: api, prefix_rewrite: /v1/ }
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
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: PORT } } }
"#;

/// Stands in for a service of yours. Returns its port.
async fn service() -> Result<u16, Box<dyn Error>> {
    let app = Router::new().fallback(|request: Request| async move {
        let client = request.headers().get("x-forwarded-for").and_then(|v| v.to_str().ok());
        format!("{} for {}\n", request.uri(), client.unwrap_or("nobody"))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(port)
}
