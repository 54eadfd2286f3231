//! The counters of a discovery.

use std::fmt;

use crate::stats::{Counter, Scope};

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
        }
    }
}

impl fmt::Debug for UpdateStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpdateStats").finish_non_exhaustive()
    }
}
