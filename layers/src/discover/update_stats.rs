//! The counters of a discovery.

use std::fmt;

use crate::stats::{Counter, Gauge, Scope};

/// A cluster's `update_*` counters.
///
/// Every cluster has them, as in Envoy, also where members never change.
#[derive(Clone)]
pub struct UpdateStats {
    /// `update_attempt`: discoveries begun.
    pub attempt: Counter,
    /// `update_success`: discoveries that gave an answer, be it "no members".
    pub success: Counter,
    /// `update_failure`: discoveries that gave none. The members stay.
    pub failure: Counter,
    /// `update_empty`: updates without any assignment. DNS never counts it in Envoy 1.40: an empty
    /// answer is a success for `STRICT_DNS` and a failure for `LOGICAL_DNS`.
    pub empty: Counter,
    /// `update_no_rebuild`: successes that changed nothing.
    pub no_rebuild: Counter,
    /// `default.total_match_count`: members that an answer names again. The cluster counts the new
    /// ones in it.
    pub named_again: Counter,
    /// `max_host_weight`: the greatest weight in the last answer. Envoy tells it of `STRICT_DNS`
    /// alone.
    pub max_host_weight: Gauge,
}

impl UpdateStats {
    /// The counters in `scope`, which is the cluster's (`cluster.<name>`).
    pub fn new(scope: &Scope) -> Self {
        Self {
            attempt: scope.counter("update_attempt"),
            success: scope.counter("update_success"),
            failure: scope.counter("update_failure"),
            empty: scope.counter("update_empty"),
            no_rebuild: scope.counter("update_no_rebuild"),
            named_again: scope.counter("default.total_match_count"),
            max_host_weight: scope.gauge("max_host_weight"),
        }
    }
}

impl fmt::Debug for UpdateStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpdateStats").finish_non_exhaustive()
    }
}
