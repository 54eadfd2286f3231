//! What a cluster counts of each request: status, and time from request to end of response.
//!
//! Sits outside timeouts and retries: what counts is what the client got on the cluster's behalf,
//! once, whoever made it. The counters are `upstream_rq_<code>`, `upstream_rq_<n>xx`,
//! `upstream_rq_completed` and `upstream_rq_time`, each for the cluster and again below
//! `external.` or `internal.` (by `x-envoy-internal`), as in Envoy's router; statuses also below
//! `canary.`, where the response says `x-envoy-upstream-canary: true`.
//!
//! ```
//! use front_proxy_layers::cluster::Cluster;
//! use front_proxy_layers::respond::RespondLayer;
//! use front_proxy_layers::router::Router;
//! use front_proxy_layers::sanitize::SanitizeLayer;
//! use front_proxy_layers::upstream_stats::UpstreamStatsLayer;
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::new("service1", ["127.0.0.1:8001"])?;
//! let stats = UpstreamStatsLayer::new(cluster.stats().clone());
//! let counted = ServiceBuilder::new().layer(stats).service(cluster);
//! let proxy = ServiceBuilder::new()
//!     .layer(RespondLayer::new())
//!     .layer(SanitizeLayer::new())
//!     .service(Router::forward(counted));
//! let app = axum::Router::<()>::new().fallback_service(proxy);
//! # let _ = app;
//! # Ok(()) }
//! ```

mod body;
mod future;
mod layer;
mod service;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::UpstreamStatsLayer;
pub use service::UpstreamStats;
