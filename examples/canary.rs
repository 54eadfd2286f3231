//! A canary: of the requests to the API one in ten goes to the new version, and all of those that
//! ask for it.
//!
//! ```text
//! cargo run --example canary
//! for i in $(seq 20); do curl localhost:3000/api/version; done
//! curl -H 'x-canary: yes' localhost:3000/api/version     # always the new one
//! ```
//!
//! Next: raise the weight; `own_balancer` has a canary among the endpoints of one cluster.

use std::error::Error;

use axum::Router;
use axum::routing::get;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::proxy::{Proxy, Route};
use front_proxy_layers::route::RouteMatch;
use http::HeaderName;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let old = Cluster::new("api-v1", [service("v1").await?])?;
    let new = Cluster::new("api-v2", [service("v2").await?])?;

    let asked_for = HeaderName::from_static("x-canary");
    let proxy = Proxy::builder()
        .route(RouteMatch::below("/api").header(asked_for, "yes"), new.clone())
        .route(RouteMatch::below("/api"), Route::weighted([(90, old), (10, new)])?)
        .build();
    let app =
        Router::new().route("/", get(|| async { "the app itself\n" })).fallback_service(proxy);

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Stands in for a service of yours. Returns its address.
async fn service(version: &'static str) -> Result<String, Box<dyn Error>> {
    let app =
        Router::new().route("/api/version", get(move || async move { format!("{version}\n") }));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address.to_string())
}
