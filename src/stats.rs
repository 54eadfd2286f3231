//! Where numbers are kept and how they are shown.
//!
//! [`Registry`] keeps every stat of the process: layers record into it through a
//! [`Scope`](front_proxy_layers::stats::Scope), other code through the [`metrics`] macros once the
//! registry is installed as the process's recorder. [`Query`] says which stats are wanted and
//! [`text`], [`json`], [`html`] and [`prometheus`] print them as Envoy's `/stats` does.
//!
//! ```
//! use front_proxy::stats::{Query, Registry, text};
//!
//! let registry = Registry::new(2);
//! let scope = registry.scope().child("cluster").tagged("envoy_cluster_name", "service1");
//! scope.counter("upstream_rq_total").increment(3);
//!
//! let page = text::render(registry.select(&Query::default()), Default::default());
//! let page = page.map(|chunk| String::from_utf8_lossy(&chunk).into_owned()).collect::<String>();
//! assert_eq!(page, "cluster.service1.upstream_rq_total: 3\n");
//! ```

mod cells;
mod histogram;
mod name;
mod number;
mod lookups;
mod chunks;
pub(crate) mod absent;
mod rules;
mod registry;
mod recorder;
mod statsd;
mod selection;
mod query;
pub mod text;
pub mod json;
pub mod html;
pub mod prometheus;
mod process;
pub mod server;

pub use histogram::{Bin, DEFAULT_BUCKETS, Distribution, QUANTILES};
pub use lookups::Lookups;
pub use process::Memory;
pub use query::{Buckets, Format, InvalidQuery, Kind, Query};
pub(crate) use query::{filter_regex, parameter, parameters};
pub(crate) use registry::every;
pub use registry::{Registry, TextReadout, flush_every};
pub use rules::{HistogramBuckets, Matcher, Rules, Tag};
pub use selection::{HistogramReading, Selection, Stat, StatValue};
pub use statsd::{StatsdOptions, StatsdSink};

/// The pieces of a rendered page, in order: none of them is held before it is asked for.
pub type Chunks = Box<dyn Iterator<Item = bytes::Bytes> + Send>;
