//! tower-http's layers around the proxy: request ids, traces, a timeout, CORS and compression, in the
//! order in which they belong.
//!
//! ```text
//! cargo run --example with_tower_http
//! curl -i localhost:3000/text
//! curl -i --compressed localhost:3000/text
//! curl -i -X OPTIONS -H 'origin: http://elsewhere' -H 'access-control-request-method: PUT' localhost:3000/
//! ```
//!
//! Next: set up `tracing-subscriber` to see the spans; take `CompressionLayer` out and compare.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::proxy::Proxy;
use front_proxy_layers::request_id::REQUEST_ID;
use http::{Method, StatusCode};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{Any, CorsLayer};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let cluster = Cluster::new("service", [service().await?])?;
    let around = ServiceBuilder::new()
        // Outermost, so that traces have it; the proxy keeps an id that is there.
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(TraceLayer::new_for_http())
        // Ends requests that the proxy's own timeouts do not; what is under way upstream ends with them.
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(30)))
        // Answers preflight requests itself: the upstream does not see them.
        .layer(CorsLayer::new().allow_origin(Any).allow_methods([Method::PUT]))
        // Innermost: the proxy's stats count what came from upstream, not what goes out.
        .layer(CompressionLayer::new());
    let app = Router::new().fallback_service(Proxy::new(cluster)).layer(around);

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Stands in for a service of yours. Returns its address.
async fn service() -> Result<String, Box<dyn Error>> {
    let app = Router::new().route("/text", get(|| async { "a text to compress. ".repeat(50) }));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address.to_string())
}
