//! What of a cluster follows the runtime, by Envoy's names.

use std::sync::Arc;
#[cfg(feature = "retry")]
use std::time::Duration;

use super::{HealthOptions, Inner, Limits, Resources};
use crate::outlier::Followed;
use crate::runtime::{Key, Runtime};

/// What a cluster asks of the runtime as it goes.
#[derive(Debug)]
pub(super) struct Keys {
    /// `upstream.maintenance_mode.<cluster>`, in percent.
    maintenance: Key,
    /// `upstream.healthy_panic_threshold`, in percent.
    panic: Key,
    #[cfg(feature = "retry")]
    pub(super) retry: RetryKeys,
}

/// What retries ask of the runtime.
#[cfg(feature = "retry")]
#[derive(Clone, Debug)]
pub(crate) struct RetryKeys {
    /// `upstream.use_retry`, in percent.
    on: Key,
    /// `upstream.base_retry_backoff_ms`
    base: Key,
}

#[cfg(feature = "retry")]
impl RetryKeys {
    pub(crate) fn new(runtime: &Runtime) -> Self {
        Self {
            on: runtime.key("upstream.use_retry"),
            base: runtime.key("upstream.base_retry_backoff_ms"),
        }
    }

    /// Whether a retry may go on that is allowed in all other respects.
    pub(crate) fn allow(&self) -> bool {
        self.on.integer().is_none_or(|percent| fastrand::u64(..100) < percent)
    }

    /// The first back-off of policies that say none. Default 25 ms.
    pub(crate) fn base_interval(&self) -> Duration {
        Duration::from_millis(self.base.integer().unwrap_or(25))
    }
}

impl Keys {
    pub(super) fn new(runtime: &Runtime, cluster: &str) -> Self {
        Self {
            maintenance: runtime.key(&format!("upstream.maintenance_mode.{cluster}")),
            panic: runtime.key("upstream.healthy_panic_threshold"),
            #[cfg(feature = "retry")]
            retry: RetryKeys::new(runtime),
        }
    }

    /// Whether a request is one of those that the cluster is not to have.
    #[inline]
    pub(super) fn turns_away(&self) -> bool {
        self.maintenance.integer().is_some_and(|percent| fastrand::u64(..100) < percent)
    }

    /// The options as the runtime has them now.
    pub(super) fn health(&self, configured: &HealthOptions) -> HealthOptions {
        let threshold = self.panic.u32().unwrap_or(configured.panic_threshold);
        HealthOptions { panic_threshold: threshold.min(100), ..configured.clone() }
    }
}

/// `circuit_breakers.<cluster>.<priority>.*`: the limits follow the runtime for as long as there are
/// resources that are limited.
pub(super) fn follow_limits(
    runtime: &Runtime,
    cluster: &str,
    priority: &str,
    limits: &Limits,
    resources: &Arc<Resources>,
) {
    let key = |what: &str| runtime.key(&format!("circuit_breakers.{cluster}.{priority}.{what}"));
    let keys = ["max_connections", "max_pending_requests", "max_requests", "max_retries"].map(key);
    let [connections, pending, requests, retries] = keys;
    let (resources, limits) = (Arc::downgrade(resources), limits.clone());
    runtime.watch(move || {
        let Some(resources) = resources.upgrade() else { return false };
        resources.connections.limit(connections.u32().unwrap_or(limits.connections));
        resources.pending.limit(pending.u32().unwrap_or(limits.pending));
        resources.requests.limit(requests.u32().unwrap_or(limits.requests));
        resources.retries.limit(retries.u32().unwrap_or(limits.retries));
        true
    });
}

/// What the others need to know of a change, for as long as there is the cluster.
pub(super) fn follow(runtime: &Runtime, cluster: &Arc<Inner>, outlier: Option<&Arc<Followed>>) {
    if let Some(outlier) = outlier {
        outlier.follow(runtime);
    }
    let cluster = Arc::downgrade(cluster);
    let mut before = None;
    runtime.watch(move || {
        let Some(cluster) = cluster.upgrade() else { return false };
        let now = cluster.keys.panic.integer();
        if std::mem::replace(&mut before, now) != now {
            cluster.refresh();
        }
        true
    });
}
