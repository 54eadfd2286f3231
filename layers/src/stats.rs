//! Stats: names, handles and where they go; and the layer that counts requests.
//!
//! A [`Scope`] names stats as Envoy names them, a [`StatsSink`] keeps them. Without one of your own
//! they go to the process's [`metrics`](https://docs.rs/metrics) recorder, under the names that Envoy's Prometheus output
//! has; [`Scope::install`] says otherwise for the whole process. [`StatsLayer`] counts requests of any service, an app's own routes as well as a proxy's:
//!
//! ```
//! use axum::{Router, body::Body, extract::Request, routing::get};
//! use front_proxy_layers::stats::{DownstreamStats, Scope, StatsLayer};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let stats = DownstreamStats::of_requests(&Scope::from_metrics(), "my_app");
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
mod handles;
mod layer;
mod recorder;
mod scope;
mod service;
// Public with the feature `rustls`.
#[cfg(feature = "tls")]
#[cfg_attr(not(feature = "rustls"), allow(dead_code, unreachable_pub))]
mod ssl;

pub use body::ResponseBody;
pub use buffered::{Buffered, Level};
pub use downstream::{DownstreamStats, ListenerCodes};
pub use future::ResponseFuture;
pub(crate) use handles::millis;
pub use handles::{Counter, CounterValue, Gauge, GaugeValue, Histogram, HistogramValue};
pub use layer::StatsLayer;
pub use recorder::{MetricName, MetricsSink, RenamedMetrics};
pub use scope::{
    NoStats, Scope, ScopeInstalled, StatName, StatsSink, Unit, prometheus_name, without,
};
pub use service::Stats;
#[cfg(all(feature = "tls", not(feature = "rustls")))]
pub(crate) use ssl::SslStats;
#[cfg(feature = "rustls")]
pub use ssl::SslStats;
