//! Names of your own for the proxy's stats, in the metrics that your app has already: only those that
//! your dashboards know, called as they call them.
//!
//! ```text
//! cargo run --example own_stats_names
//! curl localhost:3000/hello
//! curl -s localhost:3000/metrics
//! ```
//!
//! Next: keep the other names as Envoy has them, with `MetricName::of(name)` for what `renamed` does not
//! know; print `name.full()` to see all of them. A place of your own for stats is a `StatsSink`.

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::proxy::Proxy;
use front_proxy_layers::stats::{MetricName, RenamedMetrics, Scope, StatName};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;

/// Our name, and the cluster as a label; `None` for what we don't want. Asked when clusters and layers
/// are built, never for a request.
fn renamed(name: &StatName) -> Option<MetricName> {
    let ours = match name.base() {
        "cluster.upstream_rq_total" => "myapp_calls_total",
        "cluster.upstream_rq_active" => "myapp_calls_under_way",
        "cluster.upstream_rq_time" => "myapp_call_ms",
        _ => return None,
    };
    let ours = name.tags().iter().fold(MetricName::new(ours), |ours, (tag, value)| match *tag {
        "envoy_cluster_name" => ours.label("service", value),
        other => ours.label(other, value),
    });
    Some(ours)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let recorder = PrometheusBuilder::new().install_recorder()?;
    let stats = Scope::new(Arc::new(RenamedMetrics::new(renamed)));

    let cluster = Cluster::builder("greeter").stats(stats.clone());
    let cluster = cluster.endpoints([service().await?])?.build();
    let proxy = Proxy::builder().route("/", cluster).stats(&stats, "app").build();
    let app = Router::new()
        .route("/metrics", get(move || std::future::ready(recorder.render())))
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
