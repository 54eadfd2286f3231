//! The proxy's stats beside an app's own, in the app's own `/metrics`: they go to whatever `metrics`
//! recorder the process has, under the names that Envoy gives Prometheus.
//!
//! ```text
//! cargo run --example scrape
//! curl localhost:3000/hello
//! curl -s localhost:3000/metrics | grep -e envoy_cluster_upstream_rq -e greetings
//! ```
//!
//! Next: point Prometheus at it, and open a dashboard that was made for Envoy; see `own_stats_names`
//! for other names.

use std::error::Error;

use axum::Router;
use axum::routing::get;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::proxy::Proxy;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Before the first cluster: handles are made when layers are built.
    let recorder = PrometheusBuilder::new().install_recorder()?;

    let cluster = Cluster::new("service1", [service().await?])?;
    let proxy = Proxy::new(cluster);
    let greet = || async {
        metrics::counter!("greetings").increment(1);
        "from the app itself\n"
    };
    let app = Router::new()
        .route("/metrics", get(move || std::future::ready(recorder.render())))
        .route("/greet", get(greet))
        .fallback_service(proxy);

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Stands in for a service of yours. Returns its address.
async fn service() -> Result<String, Box<dyn Error>> {
    let app = Router::new().fallback(|| async { "hello\n" });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address.to_string())
}
