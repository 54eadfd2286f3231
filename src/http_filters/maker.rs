//! From the settings of a filter to its layer.

use std::sync::Arc;
use std::time::Duration;

use front_proxy_layers::buffer::BufferLayer;
use front_proxy_layers::cors::{CorsLayer, CorsPolicy, CorsStats};
use front_proxy_layers::fault::{FaultLayer, FaultStats};
use front_proxy_layers::header_edit::HeaderEditor;
use front_proxy_layers::health_check_filter::{HealthCheckLayer, HealthCheckStats};
use front_proxy_layers::local_rate_limit::{LocalRateLimitLayer, LocalRateLimitStats, TokenBucket};
use front_proxy_layers::stats::DownstreamStats;
use front_proxy_layers::timeout::TimeoutLayer;
use http::HeaderValue;

use super::{SharedFilter, Surroundings, limits};
use crate::config::model::{
    Fault, HealthCheckFilter, HttpConnectionManager, HttpFilterConfig, LocalRateLimit,
};
use crate::stats::absent;

/// What Prometheus calls the `stat_prefix` of a local rate limit.
const RATE_LIMIT_TAG: &str = "envoy_local_http_ratelimit_prefix";

/// Makes the layers of a connection manager's filters.
pub(super) struct Maker<'a> {
    config: &'a HttpConnectionManager,
    around: Surroundings<'a>,
    downstream: &'a Arc<DownstreamStats>,
    /// Envoy's filters of one kind count together: their stats have no names of their own.
    cors: Option<Arc<CorsStats>>,
    fault: Option<Arc<FaultStats>>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(
        config: &'a HttpConnectionManager,
        around: Surroundings<'a>,
        downstream: &'a Arc<DownstreamStats>,
    ) -> Self {
        let scope = downstream.scope();
        let has = |kind: fn(&HttpFilterConfig) -> bool| {
            config.http_filters.iter().any(|filter| kind(&filter.config))
        };
        let fault = has(|config| matches!(config, HttpFilterConfig::Fault(_))).then(|| {
            absent::fault(scope);
            Arc::new(FaultStats::new(scope))
        });
        let cors = has(|config| matches!(config, HttpFilterConfig::Cors))
            .then(|| Arc::new(CorsStats::new(scope)));
        Self { config, around, downstream, cors, fault }
    }

    /// The timeouts of requests that filters may keep: those of the router begin when a request
    /// gets there.
    pub(super) fn timeouts(&self, idle: Option<Duration>) -> SharedFilter {
        let some = |timeout: Option<Duration>| timeout.filter(|time| !time.is_zero());
        let timeouts = &self.config.timeouts;
        Arc::new(
            TimeoutLayer::optional(None)
                .idle(some(idle))
                .request(some(timeouts.request))
                .max_stream_duration(some(timeouts.max_stream_duration))
                .downstream_stats(Arc::clone(self.downstream)),
        )
    }

    pub(super) fn buffer(&self, max: u32) -> SharedFilter {
        Arc::new(BufferLayer::new(u64::from(max)).downstream_stats(Arc::clone(self.downstream)))
    }

    pub(super) fn cors(&self, policy: CorsPolicy) -> SharedFilter {
        let layer = CorsLayer::new(policy);
        Arc::new(match &self.cors {
            Some(stats) => layer.stats(Arc::clone(stats)),
            None => layer,
        })
    }

    pub(super) fn fault(&self, fault: &Fault) -> SharedFilter {
        let layer = FaultLayer::new(fault.settings.clone());
        Arc::new(match &self.fault {
            Some(stats) => layer.stats(Arc::clone(stats)),
            None => layer,
        })
    }

    pub(super) fn health_check(&self, check: &HealthCheckFilter) -> Result<SharedFilter, String> {
        let Surroundings { clusters, failing, service_cluster, .. } = self.around;
        let name = HeaderValue::from_str(service_cluster)
            .map_err(|error| format!("`{service_cluster}`: {error}"))?;
        let mut layer = HealthCheckLayer::new(check.headers.iter().cloned())
            .failing(Arc::clone(failing))
            .service_cluster(name)
            .stats(Arc::new(HealthCheckStats::new(self.downstream.scope())));
        for (name, percent) in &check.clusters {
            layer = layer.cluster(clusters.get(name).cloned(), *percent);
        }
        if check.pass_through {
            layer = layer.pass_through(check.cache_time);
        }
        Ok(Arc::new(layer))
    }

    pub(super) fn local_rate_limit(
        &self,
        limit: &LocalRateLimit,
        headers: HeaderEditor,
    ) -> SharedFilter {
        let scope = self.around.stats.tagged(RATE_LIMIT_TAG, &limit.stat_prefix);
        absent::local_rate_limit(&scope);
        let bucket = limit
            .bucket
            .map(|bucket| Arc::new(TokenBucket::new(bucket.max, bucket.per_fill, bucket.interval)));
        let settings = limits::settings(limit, headers);
        let stats = LocalRateLimitStats::new(&scope);
        Arc::new(LocalRateLimitLayer::counted(bucket, settings, stats))
    }
}
