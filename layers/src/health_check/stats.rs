//! `cluster.<name>.health_check.*`

use crate::stats::{Counter, Gauge, Scope};

/// What health checks count.
#[derive(Clone, Debug)]
pub(crate) struct CheckStats {
    pub(super) attempt: Counter,
    pub(super) success: Counter,
    pub(super) failure: Counter,
    pub(super) network_failure: Counter,
    pub(super) passive_failure: Counter,
    pub(super) verify_cluster: Counter,
    pub(super) healthy: Gauge,
    pub(super) degraded: Gauge,
}

impl CheckStats {
    /// `scope` names the cluster.
    pub(super) fn new(scope: &Scope) -> Self {
        let scope = scope.child("health_check");
        Self {
            attempt: scope.counter("attempt"),
            success: scope.counter("success"),
            failure: scope.counter("failure"),
            network_failure: scope.counter("network_failure"),
            passive_failure: scope.counter("passive_failure"),
            verify_cluster: scope.counter("verify_cluster"),
            healthy: scope.gauge("healthy"),
            degraded: scope.gauge("degraded"),
        }
    }
}
