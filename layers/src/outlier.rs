//! Outlier detection: endpoints that fail the requests they get are left out for a while.
//!
//! What an endpoint does with its requests is counted as they go, with a few atomics. Three things
//! eject it ([Envoy's](https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier)):
//!
//! * so many failures in a row: answers of 500 and above, among them those of a gateway (502, 503,
//!   504), and failures that arise on this side, such as a connection that can't be made. Those
//!   count as a 503 or a 504, unless [`split_local_origin`](OutlierDetection::split_local_origin)
//!   has them counted apart;
//! * at the end of an interval, a rate of successes that lies
//!   [`success_rate_stdev_factor`](OutlierDetection::success_rate_stdev_factor) standard deviations
//!   below the mean of all endpoints;
//! * or a percentage of failures above a fixed one.
//!
//! All of this may follow the runtime: `outlier_detection.*`, see
//! [`ClusterBuilder::runtime`](crate::cluster::ClusterBuilder::runtime).
//!
//! Each ejection lasts longer than the one before, and well-behaved time makes up for it. It takes
//! place with the answer that was one too many: the next request goes elsewhere.
//!
//! ```
//! use std::time::Duration;
//!
//! use front_proxy_layers::cluster::Cluster;
//! use front_proxy_layers::outlier::OutlierDetection;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let detection = OutlierDetection {
//!     consecutive_5xx: 3,
//!     base_ejection_time: Duration::from_secs(5),
//!     max_ejection_percent: 50,
//!     ..OutlierDetection::default()
//! };
//! let cluster = Cluster::builder("service1")
//!     .endpoints(["127.0.0.1:8001", "127.0.0.1:8002"])?
//!     .outlier_detection(detection)
//!     .build();
//! # assert_eq!(cluster.endpoints().len(), 2);
//! # Ok(()) }
//! ```

mod detector;
mod followed;
mod monitor;
mod rates;
mod settings;
mod stats;

pub use rates::Averages;
pub use settings::OutlierDetection;

pub(crate) use detector::Detector;
pub(crate) use followed::Followed;
pub(crate) use monitor::{Monitor, Outcome};
