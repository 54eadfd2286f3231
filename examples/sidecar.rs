//! A sidecar without the process beside: what a sidecar proxy does for a service on its way in and on
//! its way out, inside the service.
//!
//! In: requests are counted and logged, get an id, and their answers tell how long they took. Out:
//! the service calls its neighbour by the neighbour's name, and the call is balanced, tried again where
//! an instance does not answer, and counted.
//!
//! ```text
//! cargo run --example sidecar
//! curl -i localhost:3000/hello
//! curl -s localhost:3000/metrics | grep -e downstream_rq_total -e upstream_rq
//! ```
//!
//! Next: put `.dns("neighbour:8000")?` in place of the endpoints; add `.http2()`.

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use front_proxy_layers::access_log::{AccessLogLayer, AccessLogger, LogSink};
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::format::Format;
use front_proxy_layers::proxy::{Proxy, Route};
use front_proxy_layers::request_id::{REQUEST_ID, RequestIdLayer};
use front_proxy_layers::route::{RetryOn, RetryPolicy};
use front_proxy_layers::stats::{DownstreamStats, Scope, StatsLayer};
use front_proxy_layers::upstream_timing::UpstreamTimingLayer;
use http_body_util::BodyExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};

/// The service: greets, and asks its neighbour for a word.
async fn hello(State(neighbour): State<Proxy>, request: Request) -> Result<String, &'static str> {
    let mut call = http::Request::get("/word").header("host", "neighbour");
    if let Some(id) = request.headers().get(REQUEST_ID) {
        call = call.header(REQUEST_ID, id);
    }
    let call = call.body(String::new()).map_err(|_| "no request")?;
    let Ok(answer) = neighbour.oneshot(call).await;
    let word = answer.into_body().collect().await.map_err(|_| "the neighbour broke off")?;
    Ok(format!("hello, {}\n", String::from_utf8_lossy(&word.to_bytes())))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let recorder = PrometheusBuilder::new().install_recorder()?;

    // Out: two instances of the neighbour, the first of which is down.
    let policy = RetryPolicy {
        on: RetryOn { connect_failure: true, ..RetryOn::default() },
        ..RetryPolicy::default()
    };
    let endpoints = ["127.0.0.1:1".to_owned(), neighbour().await?];
    let neighbour = Cluster::builder("neighbour").endpoints(endpoints)?.build();
    let neighbour = Proxy::builder().route("/", Route::to(neighbour).retry(policy)).build();

    // In: around the service's own routes.
    let format = Format::parse("%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE%\n")?;
    let inbound = ServiceBuilder::new()
        .layer(StatsLayer::new(DownstreamStats::of_requests(&Scope::from_metrics(), "inbound")))
        .layer(AccessLogLayer::new([AccessLogger::text(format, Arc::new(Stderr))]))
        .layer(RequestIdLayer::new().respond(true))
        .layer(UpstreamTimingLayer::new());
    let app = Router::new()
        .route("/hello", get(hello))
        .layer(inbound)
        .route("/metrics", get(move || std::future::ready(recorder.render())))
        .with_state(neighbour);

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Takes the lines of the access log.
#[derive(Debug)]
struct Stderr;

impl LogSink for Stderr {
    fn write(&self, line: &[u8]) {
        eprint!("{}", String::from_utf8_lossy(line));
    }
}

/// Stands in for the neighbour. Returns its address.
async fn neighbour() -> Result<String, Box<dyn Error>> {
    let word = |request: Request| async move {
        let id = request.headers().get(REQUEST_ID).cloned();
        let mut response = Response::new("neighbour".to_owned());
        response.headers_mut().extend(id.map(|id| (REQUEST_ID, id)));
        response
    };
    let app = Router::new().route("/word", get(word));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address.to_string())
}
