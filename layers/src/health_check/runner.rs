//! The checks of a cluster: one session for each endpoint, for as long as it is a member.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use tokio::sync::watch;

use super::HealthCheck;
use super::client::Dialer;
use super::keys::Keys;
use super::session::Session;
use super::stats::CheckStats;
use crate::cluster::{ClusterStats, Inner};
use crate::endpoint::Endpoint;
use crate::health::HealthFlag;
use crate::runtime::Runtime;
use crate::stats::Scope;
use crate::task::Task;

/// What a cluster knows of its health checks.
#[derive(Debug)]
pub(crate) struct Checker {
    check: Arc<HealthCheck>,
    keys: Arc<Keys>,
    stats: CheckStats,
    /// What the connections of checks count: nobody's traffic.
    nobody: Arc<ClusterStats>,
}

impl Checker {
    /// `scope` names the cluster.
    pub(crate) fn new(check: HealthCheck, scope: &Scope, runtime: &Runtime) -> Self {
        let nobody = Arc::new(ClusterStats::new(&Scope::noop()));
        let keys = Arc::new(Keys::new(runtime));
        Self { check: Arc::new(check), keys, stats: CheckStats::new(scope), nobody }
    }

    /// Shows how many of these endpoints pass.
    pub(crate) fn count(&self, endpoints: &[Arc<Endpoint>]) {
        let count = |is_it: &dyn Fn(&Endpoint) -> bool| {
            endpoints.iter().filter(|e| e.is_checked() && is_it(e)).count() as u64
        };
        let healthy = count(&|e| !e.health().contains(HealthFlag::FailedActiveHc));
        let degraded = count(&|e| e.health().contains(HealthFlag::DegradedActiveHc));
        self.stats.healthy.show(healthy);
        self.stats.degraded.show(degraded);
    }

    /// An answer to a request said that its endpoint is to be left out. Returns whether that is
    /// news.
    pub(crate) fn leave_out(&self, endpoint: &Endpoint) -> bool {
        if !endpoint.is_checked() {
            return false;
        }
        self.stats.failure.increment(1);
        self.stats.passive_failure.increment(1);
        let flags = endpoint.flags();
        let excluded = flags.set(HealthFlag::ExcludedViaImmediateHcFail);
        let failed = flags.set(HealthFlag::FailedActiveHc);
        flags.clear(HealthFlag::ActiveHcTimeout);
        if failed {
            endpoint.drain();
        }
        excluded || failed
    }

    /// Checks whoever is a member, until the cluster is gone.
    pub(crate) async fn run(cluster: Weak<Inner>, mut changes: watch::Receiver<()>) {
        let mut sessions: HashMap<usize, (Arc<Endpoint>, Task)> = HashMap::new();
        loop {
            changes.mark_unchanged();
            {
                let Some(cluster) = cluster.upgrade() else { return };
                let Some(checker) = cluster.checker() else { return };
                sessions.retain(|_, (endpoint, _)| !endpoint.is_closed());
                for endpoint in cluster.all().iter().filter(|endpoint| endpoint.is_checked()) {
                    sessions.entry(Arc::as_ptr(endpoint).addr()).or_insert_with(|| {
                        let endpoint = Arc::clone(endpoint);
                        let dialer =
                            Dialer::new(Arc::clone(&endpoint), Arc::clone(&checker.nobody));
                        let session = Session::new(
                            &cluster,
                            dialer,
                            &checker.check,
                            &checker.keys,
                            &checker.stats,
                        );
                        (endpoint, Task::spawn(session.run()))
                    });
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}
