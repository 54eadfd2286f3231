//! The proxy as a bare tower service, without any router around: axum-server accepts connections and
//! serves them. Each connection's layers know who is connected.
//!
//! ```text
//! cargo run --example without_axum
//! curl localhost:3000/
//! ```
//!
//! Next: `axum_server::bind_rustls` serves the same over TLS; say `tls: true` of the peer then.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;

use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::forwarded::{ForwardedPolicy, Peer};
use front_proxy_layers::proxy::Proxy;
use http::Request;
use hyper::body::Incoming;
use tower::{ServiceBuilder, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let cluster = Cluster::builder("service").endpoints([service().await?])?.build();
    // Clients come from anywhere: their word about themselves does not count.
    let edge = ForwardedPolicy { use_remote_address: true, ..ForwardedPolicy::default() };
    let proxy = Proxy::builder().route("/", cluster).forwarded(edge).build();

    // What makes the service of a connection is a service of addresses.
    let of_connection = service_fn(move |address: SocketAddr| {
        let told = ServiceBuilder::new().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer { address, tls: false });
            request
        });
        std::future::ready(Ok::<_, Infallible>(told.service(proxy.clone())))
    });

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);
    axum_server::from_tcp(listener)?.serve(of_connection).await?;
    Ok(())
}

/// Stands in for a service of yours. Returns its address.
async fn service() -> Result<String, Box<dyn Error>> {
    let app = axum::Router::new().fallback(|request: axum::extract::Request| async move {
        let client = request.headers().get("x-forwarded-for").and_then(|v| v.to_str().ok());
        format!("hello, {}\n", client.unwrap_or("stranger"))
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address.to_string())
}
