//! What a health check is told.

use std::sync::atomic::Ordering;

use http::StatusCode;

use super::layer::Rules;

/// What a health check is told, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) status: StatusCode,
    pub(super) degraded: bool,
    /// `%RESPONSE_CODE_DETAILS%`
    pub(super) details: &'static str,
}

impl Verdict {
    const fn ok(details: &'static str) -> Self {
        Self { status: StatusCode::OK, degraded: false, details }
    }

    const fn failed(details: &'static str) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, degraded: false, details }
    }

    pub(super) fn is_ok(self) -> bool {
        self.status.is_success()
    }
}

impl Rules {
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// The answer to a health check that the service inside is not asked, or `None` if it is.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        if self.is_failing() {
            return Some(Verdict::failed("health_check_failed"));
        }
        if !self.pass_through {
            return Some(self.of_clusters());
        }
        let cached = self.cache.as_ref()?.get()?;
        self.stats.cached_response.increment(1);
        let details = "health_check_cached";
        Some(Verdict { status: cached.status, degraded: cached.degraded, details })
    }

    fn of_clusters(&self) -> Verdict {
        if self.clusters.is_empty() {
            return Verdict::ok("health_check_ok");
        }
        let stats = &self.stats;
        for (cluster, percent) in &self.clusters {
            let Some(cluster) = cluster else {
                stats.failed_cluster_not_found.increment(1);
                return Verdict::failed("health_check_failed_no_cluster_found");
            };
            let (healthy, total) = cluster.membership();
            if total == 0 && *percent > 0.0 {
                stats.failed_cluster_empty.increment(1);
                return Verdict::failed("health_check_failed_cluster_empty");
            }
            if (healthy as f64) < total as f64 * percent / 100.0 {
                stats.failed_cluster_unhealthy.increment(1);
                return Verdict::failed("health_check_failed_cluster_unhealthy");
            }
        }
        Verdict::ok("health_check_ok_cluster_healthy")
    }

    pub(super) fn count(&self, verdict: Verdict) {
        self.stats.request_total.increment(1);
        let counter = if verdict.is_ok() { &self.stats.ok } else { &self.stats.failed };
        counter.increment(1);
        if verdict.degraded {
            self.stats.degraded.increment(1);
        }
    }
}
