//! Health checks of this app by others: which requests are ones, and what they are told.
//!
//! A load balancer in front asks a path, say `/healthz`. It is told whether this process is to be
//! used: no, once it [was told to fail](HealthCheckLayer::failing) so that it can be emptied; no, if too few
//! endpoints of the clusters behind it are healthy; else yes. In
//! [pass-through mode](HealthCheckLayer::pass_through) the app itself is asked, or its last answer is given
//! again for some time. Envoy's `envoy.filters.http.health_check`.
//!
//! A process that fails says so on every other response too, in
//! `x-envoy-immediate-health-check-fail`. Responses to health checks carry
//! `x-envoy-upstream-healthchecked-cluster`, and do not count as requests of the connection manager.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicBool, Ordering};
//!
//! use axum::body::Body;
//! use axum::{Router, routing::get};
//! use front_proxy_layers::health_check_filter::HealthCheckLayer;
//! use front_proxy_layers::route::{HeaderMatch, HeaderMatchName, HeaderRule, StringMatch};
//! use http::{Request, StatusCode};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let path = StringMatch::Exact { value: "/healthz".into(), ignore_case: false };
//! let is_check = HeaderMatch {
//!     name: HeaderMatchName::Path,
//!     rule: HeaderRule::Value(path),
//!     invert: false,
//!     treat_missing_as_empty: false,
//! };
//! let failing = Arc::new(AtomicBool::new(false));
//! let layer = HealthCheckLayer::new([is_check]).failing(Arc::clone(&failing));
//! let app: Router = Router::new().route("/", get(|| async { "hello" }));
//! // Around the whole app: layers inside a `Router` see only requests that have a route there.
//! let app = tower::Layer::layer(&layer, app);
//!
//! let check = || Request::get("/healthz").body(Body::empty());
//! assert_eq!(app.clone().oneshot(check()?).await?.status(), StatusCode::OK);
//! failing.store(true, Ordering::Relaxed);
//! assert_eq!(app.oneshot(check()?).await?.status(), StatusCode::SERVICE_UNAVAILABLE);
//! # Ok(()) }
//! ```

mod cache;
mod future;
mod layer;
mod service;
mod verdict;

pub use future::ResponseFuture;
pub use layer::{HealthCheckLayer, HealthCheckStats};
pub use service::{HealthCheck, HealthChecked};

#[cfg(test)]
mod tests;
