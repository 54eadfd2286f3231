use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::HeaderValue;
use tower_layer::Layer;

use super::HealthCheck;
use super::cache::Cache;
use crate::cluster::Cluster;
use crate::route::HeaderMatch;
use crate::stats::{Counter, Scope};

/// Answers health checks; see the [module](super).
#[derive(Clone, Debug)]
pub struct HealthCheckLayer(Arc<Rules>);

#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) headers: Vec<HeaderMatch>,
    pub(super) pass_through: bool,
    pub(super) cache: Option<Arc<Cache>>,
    /// The cluster, where there is one of that name, and how many percent of it must be healthy.
    pub(super) clusters: Vec<(Option<Cluster>, f64)>,
    pub(super) failing: Arc<AtomicBool>,
    pub(super) service_cluster: HeaderValue,
    pub(super) stats: Arc<HealthCheckStats>,
}

impl HealthCheckLayer {
    /// Requests that all of these match are health checks, and answered here.
    pub fn new(headers: impl IntoIterator<Item = HeaderMatch>) -> Self {
        Self(Arc::new(Rules {
            headers: headers.into_iter().collect(),
            pass_through: false,
            cache: None,
            clusters: Vec::new(),
            failing: Arc::default(),
            service_cluster: HeaderValue::from_static(""),
            stats: Arc::new(HealthCheckStats::new(&Scope::noop())),
        }))
    }

    /// Asks the service inside. With a time its answer is kept for so long, at most.
    #[must_use]
    pub fn pass_through(self, cache_time: Option<Duration>) -> Self {
        self.with(|rules| {
            rules.pass_through = true;
            rules.cache = cache_time.map(|time| Arc::new(Cache::new(time)));
        })
    }

    /// Fails as long as this is set (`/healthcheck/fail` of the admin port). Default never.
    #[must_use]
    pub fn failing(self, failing: Arc<AtomicBool>) -> Self {
        self.with(|rules| rules.failing = failing)
    }

    /// Fails if less than so many percent of a cluster's endpoints are healthy
    /// (`cluster_min_healthy_percentages`), or if there is no such cluster.
    #[must_use]
    pub fn cluster(self, cluster: Option<Cluster>, min_healthy_percent: f64) -> Self {
        self.with(|rules| rules.clusters.push((cluster, min_healthy_percent)))
    }

    /// What `x-envoy-upstream-healthchecked-cluster` says: whose health this is. Default nothing.
    #[must_use]
    pub fn service_cluster(self, name: HeaderValue) -> Self {
        self.with(|rules| rules.service_cluster = name)
    }

    /// Counts there.
    #[must_use]
    pub fn stats(self, stats: Arc<HealthCheckStats>) -> Self {
        self.with(|rules| rules.stats = stats)
    }

    fn with(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl<S> Layer<S> for HealthCheckLayer {
    type Service = HealthCheck<S>;

    fn layer(&self, inner: S) -> HealthCheck<S> {
        HealthCheck::new(inner, Arc::clone(&self.0))
    }
}

/// What is counted: `<prefix>.health_check.*`, under Envoy's names. All but `checked` are about
/// checks that are answered here.
#[allow(missing_docs)] // Envoy's names
pub struct HealthCheckStats {
    pub request_total: Counter,
    pub ok: Counter,
    pub failed: Counter,
    pub cached_response: Counter,
    pub degraded: Counter,
    pub failed_cluster_not_found: Counter,
    pub failed_cluster_empty: Counter,
    pub failed_cluster_unhealthy: Counter,
    /// `<prefix>.tracing.health_check`: all of them.
    pub checked: Counter,
}

impl HealthCheckStats {
    /// Registers them in `scope`, which is `http.<prefix>` in a connection manager.
    pub fn new(scope: &Scope) -> Self {
        let own = scope.child("health_check");
        Self {
            request_total: own.counter("request_total"),
            ok: own.counter("ok"),
            failed: own.counter("failed"),
            cached_response: own.counter("cached_response"),
            degraded: own.counter("degraded"),
            failed_cluster_not_found: own.counter("failed_cluster_not_found"),
            failed_cluster_empty: own.counter("failed_cluster_empty"),
            failed_cluster_unhealthy: own.counter("failed_cluster_unhealthy"),
            checked: scope.child("tracing").counter("health_check"),
        }
    }
}

impl fmt::Debug for HealthCheckStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthCheckStats").finish_non_exhaustive()
    }
}
