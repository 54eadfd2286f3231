//! Active health checks: each endpoint of a cluster is asked, again and again, how it is.
//!
//! An endpoint that is new has failed until its first check, which decides at once; afterwards it
//! takes `unhealthy_threshold` failures in a row to fail and `healthy_threshold` successes to come
//! back. An HTTP answer of the wrong status fails an endpoint at once, as in
//! [Envoy](https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/health_checking):
//! thresholds are for timeouts and lost connections.
//!
//! A cluster's checks run on the runtime that it is built on, each endpoint's in a task of its
//! own, over connections of their own, and end with the cluster. What they find sets the flags of
//! [`crate::health`], from which load balancing follows.
//!
//! ```
//! use std::time::Duration;
//!
//! use front_proxy_layers::cluster::Cluster;
//! use front_proxy_layers::health::Health;
//! use front_proxy_layers::health_check::{HealthCheck, HttpProbe};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let check = HealthCheck {
//!     interval: Duration::from_secs(2),
//!     ..HealthCheck::new(HttpProbe::get("/healthz"))
//! };
//! // Nobody listens there.
//! let cluster = Cluster::builder("service1").endpoints(["127.0.0.1:9"])?.health_check(check).build();
//! // Each endpoint was checked once.
//! cluster.initialized().await;
//! assert_eq!(cluster.endpoints()[0].health().health(), Health::Unhealthy);
//! # Ok(()) }
//! ```

mod client;
#[cfg(feature = "http2")]
mod grpc;
mod http;
mod keys;
mod payload;
mod runner;
mod session;
mod settings;
mod stats;
mod tcp;

pub use self::http::{Codec, HttpProbe};
#[cfg(feature = "http2")]
pub use grpc::GrpcProbe;
pub use payload::Payload;
pub use settings::{HealthCheck, Probe};
pub use tcp::TcpProbe;

pub(crate) use runner::Checker;
