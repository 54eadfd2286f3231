//! The layers put together by hand: what `Proxy` does inside, in an order of your own and with
//! layers of other crates in between.
//!
//! ```text
//! cargo run --example compose_layers
//! curl -i localhost:3000/api/hello    # tower's and the proxy's layers, one chain
//! curl -i localhost:3000/old/hello    # a redirect
//! curl -i localhost:3000/slow         # 504 after 200 ms
//! ```
//!
//! Next: move `RequestIdLayer` outside `StatsLayer` (nothing breaks); move `RespondLayer` inside
//! `SanitizeLayer` (it no longer compiles: errors have to end somewhere).

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router as App;
use axum::routing::get;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::forwarded::{ForwardedLayer, ForwardedPolicy};
use front_proxy_layers::request_id::RequestIdLayer;
use front_proxy_layers::respond::RespondLayer;
use front_proxy_layers::route::{
    PathMatch, PathRewrite, Redirect, RedirectPath, Redirector, RequestRewrite, RouteMatch,
    RouteTable,
};
use front_proxy_layers::router::{RouteEntry, Router};
use front_proxy_layers::sanitize::SanitizeLayer;
use front_proxy_layers::server_header::ServerHeaderLayer;
use front_proxy_layers::stats::{DownstreamStats, Scope, StatsLayer};
use front_proxy_layers::timeout::TimeoutLayer;
use front_proxy_layers::upstream_timing::UpstreamTimingLayer;
use http::HeaderValue;
use tokio::net::TcpListener;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let cluster = Cluster::new("service", [service().await?])?;

    // From a route to the cluster.
    let forward = |timeout| {
        ServiceBuilder::new()
            .layer(TimeoutLayer::new(timeout))
            .layer(UpstreamTimingLayer::new())
            .service(cluster.clone())
    };
    let starts = |prefix: &str| RouteMatch::new(PathMatch::Prefix(prefix.to_owned()));
    let to_api =
        Redirect { path: Some(RedirectPath::Prefix("/api/".into())), ..Redirect::default() };
    let without_api = RequestRewrite::new(Some(PathRewrite::Prefix("/".into())), None)?;
    let table = RouteTable::builder()
        .virtual_host(
            "all",
            ["*"],
            [
                (starts("/api/"), RouteEntry::forward(forward(SECOND)).rewrite(without_api)),
                (starts("/old/"), RouteEntry::redirect(Redirector::new(to_api)?)),
                (starts("/slow"), RouteEntry::forward(forward(SECOND / 5))),
            ],
        )
        .build()?;

    // From the client to the route.
    let stats = Arc::new(DownstreamStats::of_requests(&Scope::from_metrics(), "example"));
    let proxy = ServiceBuilder::new()
        // Outermost: sees every request once, and all of its response.
        .layer(StatsLayer::new(stats))
        .layer(ServerHeaderLayer::new(HeaderValue::from_static("example")))
        // Errors from further in end here.
        .layer(RespondLayer::new())
        .layer(SanitizeLayer::new())
        .layer(ForwardedLayer::new(ForwardedPolicy::default()))
        .layer(RequestIdLayer::new())
        .service(Router::new(Arc::new(table)));

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, App::new().fallback_service(proxy)).await?;
    Ok(())
}

const SECOND: Duration = Duration::from_secs(1);

/// Stands in for a service of yours. Returns its address.
async fn service() -> Result<String, Box<dyn Error>> {
    let app = App::new()
        .route("/hello", get(|| async { "hello\n" }))
        .route("/slow", get(std::future::pending::<&str>));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address.to_string())
}
