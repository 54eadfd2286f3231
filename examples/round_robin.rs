//! A cluster is a tower service: no listener is needed to balance requests over endpoints.
//!
//! ```text
//! cargo run --example round_robin
//! ```
//!
//! Two endpoints take turns; a third joins, and one leaves, while requests go on. Next: use
//! `balance::Random` and count.

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use front_proxy_layers::body::Body;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::discover::{Member, MemberSet};
use http::Request;
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tower::ServiceExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [a, b, c] = [service("a").await?, service("b").await?, service("c").await?];
    let cluster = Cluster::builder("service").members([a, b].map(Member::new)).build();
    println!("a and b: {}", ask(&cluster, 6).await?);
    cluster.update([a, b, c].map(Member::new).into());
    println!("c joins: {}", ask(&cluster, 6).await?);
    cluster.update([b, c].map(Member::new).into());
    println!("a leaves: {}", ask(&cluster, 6).await?);
    Ok(())
}

/// Who answers `n` requests.
async fn ask(cluster: &Cluster, n: usize) -> Result<String, Box<dyn Error>> {
    let mut answers = Vec::new();
    for _ in 0..n {
        let request = Request::get("/").header("host", "service").body(Body::empty())?;
        let response = cluster.clone().oneshot(request).await?;
        let body = response.into_body().collect().await?.to_bytes();
        answers.push(String::from_utf8(body.into())?);
    }
    Ok(answers.join(" "))
}

/// Stands in for a service of yours. Returns its address.
async fn service(name: &'static str) -> Result<SocketAddr, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new().fallback(move || async move { name });
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}
