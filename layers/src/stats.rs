//! Stats: names, handles and where they go; and the layer that counts requests.
//!
//! A [`Scope`] names stats as Envoy names them, a [`StatsSink`] keeps them. Without one of your own
//! they go to the process's [`metrics`] recorder, under the names that Envoy's Prometheus output
//! has; [`Scope::install`] says otherwise for the whole process. [`StatsLayer`] counts requests of any service, an app's own routes as well as a proxy's:
//!
//! ```
//! use axum::{Router, body::Body, extract::Request, routing::get};
//! use front_proxy_layers::stats::{DownstreamStats, Scope, StatsLayer};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let stats = DownstreamStats::new(&Scope::from_metrics(), "my_app");
//! let app: Router = Router::new().route("/", get(async || "hello")).layer(StatsLayer::new(stats));
//! let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
//! // http.my_app.downstream_rq_2xx and its fellows were counted.
//! # assert_eq!(response.status(), 200);
//! # }
//! ```

mod body;
mod buffered;
mod downstream;
mod future;
mod layer;
mod scope;
mod service;
#[cfg(feature = "tls")]
mod ssl;

pub use body::ResponseBody;
pub use buffered::{Buffered, Level};
pub use downstream::{DownstreamStats, ListenerCodes};
pub use future::ResponseFuture;
pub use layer::StatsLayer;
pub use scope::{
    MetricsSink, NoStats, Scope, ScopeInstalled, StatName, StatsSink, Unit, prometheus_name,
    without,
};
pub use service::Stats;
#[cfg(feature = "tls")]
pub use ssl::SslStats;
