//! Envoy's admin pages in an app of your own: the stats of its proxy and the members of its
//! clusters, under a path that you choose.
//!
//! ```text
//! cargo run --example admin_in_your_app
//! curl localhost:3000/hello
//! curl -s 'localhost:3000/admin/stats?filter=service1.upstream_rq_total'
//! curl -s localhost:3000/admin/stats/prometheus | grep upstream_rq
//! curl -s localhost:3000/admin/clusters
//! ```
//!
//! The pages have no password, here as in Envoy: put a layer in front that asks for one before you
//! open them to others.
//!
//! Next: implement `ServerView` for `/server_info`, and `Control` for what changes something.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use front_proxy::admin::{self, AdminState, ClusterStatus, ClusterView, HostStats, HostStatus};
use front_proxy::stats::{Registry, flush_every};
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::proxy::Proxy;
use tokio::net::TcpListener;

/// Shows clusters as `/clusters` has them.
#[derive(Debug)]
struct Clusters(Vec<Cluster>);

impl ClusterView for Clusters {
    fn clusters(&self) -> Vec<ClusterStatus> {
        let host = |endpoint: &front_proxy_layers::endpoint::Endpoint| {
            let rq_total = endpoint.stats().rq_total.load(Ordering::Relaxed);
            let stats = HostStats { rq_total, ..HostStats::default() };
            HostStatus { stats, ..HostStatus::new(endpoint.address()) }
        };
        let cluster = |cluster: &Cluster| ClusterStatus {
            name: cluster.name().to_owned(),
            observability_name: cluster.name().to_owned(),
            hosts: cluster.endpoints().iter().map(|endpoint| host(endpoint)).collect(),
            ..ClusterStatus::default()
        };
        self.0.iter().map(cluster).collect()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Counters are kept for each thread that counts.
    let threads = std::thread::available_parallelism()?.get();
    let stats = Registry::new(threads);
    tokio::spawn(flush_every(stats.clone(), Duration::from_secs(5)));

    let cluster = Cluster::builder("service1").stats(stats.scope());
    let cluster = cluster.endpoints([service().await?])?.build();
    let proxy = Proxy::builder().route("/", cluster.clone()).stats(&stats.scope(), "app").build();
    let state = AdminState::new(stats).clusters(Arc::new(Clusters(vec![cluster])));
    let app = Router::new().nest("/admin", admin::router(state)).fallback_service(proxy);

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
