//! Faults: requests that are answered with an error, or kept waiting, to see how clients take it.
//!
//! What a request meets is drawn for it: a delay, an answer in place of the service inside, or
//! first the one and then the other. Envoy's `envoy.filters.http.fault`.
//!
//! With [`AbortWith::Header`] and [`DelayFor::Header`] clients say what they want to meet: `x-envoy-fault-abort-request: 503`, `x-envoy-fault-abort-grpc-request: 14`,
//! `x-envoy-fault-delay-request: 100` (milliseconds); and how many of their requests, of those that
//! the settings would take: `x-envoy-fault-abort-request-percentage`,
//! `x-envoy-fault-delay-request-percentage`. Don't let strangers do that.
//!
//! ```
//! use std::convert::Infallible;
//! use std::time::Duration;
//!
//! use axum::body::Body;
//! use axum::{Router, routing::get};
//! use front_proxy_layers::fault::{Abort, Delay, DelayFor, FaultLayer, FaultSettings};
//! use front_proxy_layers::route::Fraction;
//! use http::{Request, StatusCode};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let half = Fraction { numerator: 50, denominator: 100 };
//! let settings = FaultSettings {
//!     delay: Some(Delay { time: DelayFor::Fixed(Duration::from_secs(5)), percentage: half }),
//!     abort: Some(Abort::status(StatusCode::SERVICE_UNAVAILABLE, Fraction::ALL)),
//!     ..FaultSettings::default()
//! };
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "never seen" }))
//!     .layer(FaultLayer::new(settings));
//! let response = app.oneshot(Request::get("/").body(Body::empty())?).await?;
//! assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
//! # Ok(()) }
//! ```

mod future;
mod layer;
mod service;
mod settings;
mod stats;

pub use future::ResponseFuture;
pub use layer::FaultLayer;
pub use service::Fault;
pub use settings::{Abort, AbortWith, Delay, DelayFor, FaultKeys, FaultSettings};
pub use stats::{ActiveFault, FaultStats, ResponseBody};

#[cfg(test)]
mod tests;
