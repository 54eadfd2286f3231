//! Stats: names, handles and where they go.

mod scope;

pub use scope::{MetricsSink, NoStats, Scope, StatName, StatsSink, Unit};
