//! An axum app that has always answered for itself, and now hands two prefixes to services of their
//! own: what a front proxy is for, inside the app.
//!
//! ```text
//! cargo run --example axum_app
//! curl localhost:3000/                # the app
//! curl localhost:3000/service/1      # several times: two instances take turns
//! curl -d hello localhost:3000/service/2
//! curl -i localhost:3000/service/3   # neither knows it
//! ```
//!
//! Next: put names instead of addresses with `.dns("service1:8000")?`; give the proxy a timeout;
//! see `compose_layers` for what `Proxy` is made of.

use std::error::Error;

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::proxy::Proxy;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let one = [service("service1, first").await?, service("service1, second").await?];
    let two = [service("service2").await?];

    let service1 = Cluster::new("service1", one)?;
    let service2 = Cluster::new("service2", two)?;
    let proxy =
        Proxy::builder().route("/service/1", service1).route("/service/2", service2).build();
    let app =
        Router::new().route("/", get(|| async { "the app itself\n" })).fallback_service(proxy);

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Stands in for a service of yours. Returns its address.
async fn service(name: &'static str) -> Result<String, Box<dyn Error>> {
    let app = Router::new().fallback(move |request: Request| async move {
        format!("{name}: {} {}\n", request.method(), request.uri())
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address.to_string())
}
