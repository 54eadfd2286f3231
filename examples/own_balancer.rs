//! A load balancer of your own: one request in five goes to the newest endpoint, a canary; the others
//! take turns on the rest.
//!
//! ```text
//! cargo run --example own_balancer
//! for i in $(seq 10); do curl localhost:3000/; done
//! ```
//!
//! Next: pick by `context.active`, the requests that each endpoint has under way, and see
//! `front_proxy_layers::balance::LeastRequest` for how Envoy does it.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use front_proxy_layers::balance::{Candidate, LoadBalancer, PickContext, Picker};
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::proxy::Proxy;
use tokio::net::TcpListener;

/// Outlives the sets of endpoints, and so does its count.
#[derive(Debug, Default)]
struct Canary {
    requests: Arc<AtomicUsize>,
}

impl LoadBalancer for Canary {
    /// Called when endpoints come or go, not for each request.
    fn picker(&self, candidates: &[Candidate]) -> Arc<dyn Picker> {
        let requests = Arc::clone(&self.requests);
        Arc::new(CanaryPicker { requests, endpoints: candidates.len() })
    }
}

#[derive(Debug)]
struct CanaryPicker {
    requests: Arc<AtomicUsize>,
    endpoints: usize,
}

impl Picker for CanaryPicker {
    fn pick(&self, _: &PickContext<'_>) -> Option<usize> {
        let newest = self.endpoints.checked_sub(1)?;
        let turn = self.requests.fetch_add(1, Ordering::Relaxed);
        if turn % 5 == 4 || newest == 0 {
            return Some(newest);
        }
        Some(turn % newest)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let services = [service("a").await?, service("b").await?, service("canary").await?];
    let cluster =
        Cluster::builder("service").endpoints(services)?.balancer(Canary::default()).build();

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, Router::new().fallback_service(Proxy::new(cluster))).await?;
    Ok(())
}

/// Stands in for a service of yours. Returns its address.
async fn service(name: &'static str) -> Result<String, Box<dyn Error>> {
    let app = Router::new().fallback(move || async move { format!("{name}\n") });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address.to_string())
}
