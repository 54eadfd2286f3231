//! `cluster.<name>.health_check.*`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    pub(super) healthy: Arc<Count>,
    pub(super) degraded: Arc<Count>,
}

/// A number of endpoints. As in Envoy its gauge is in use from the first change on.
#[derive(Debug)]
pub(super) struct Count {
    gauge: Gauge,
    shown: AtomicU64,
}

impl Count {
    fn new(gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { gauge, shown: AtomicU64::new(0) })
    }

    /// Called by one at a time.
    pub(super) fn show(&self, count: u64) {
        if self.shown.swap(count, Ordering::Relaxed) != count {
            self.gauge.set(count as f64);
        }
    }
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
            healthy: Count::new(scope.gauge("healthy")),
            degraded: Count::new(scope.gauge("degraded")),
        }
    }
}
