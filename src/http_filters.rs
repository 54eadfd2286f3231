//! From `http_filters`, and what routes say about them, to the chains that requests pass.

mod limits;
mod maker;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use front_proxy_layers::cors::CorsPolicy;
use front_proxy_layers::filters::{Chain, ChainId, Filter, Filters};
use front_proxy_layers::http_connection_manager::RouteBody;
use front_proxy_layers::stats::{DownstreamStats, Scope};

use crate::cluster_manager::ClusterManager;
use crate::config::model::{
    self, FilterOverride, HttpConnectionManager, HttpFilterConfig, RouteFilterConfig,
};
use maker::Maker;

/// A filter, for whichever chains have it.
type SharedFilter = Arc<dyn Filter<RouteBody>>;

/// What filters need to know of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) clusters: &'a ClusterManager,
    /// The root of all stats.
    pub(crate) stats: &'a Scope,
    /// Whether the process was told to fail health checks.
    pub(crate) failing: &'a Arc<AtomicBool>,
    /// `node.cluster`
    pub(crate) service_cluster: &'a str,
}

/// Builds the chains of a connection manager, one for each route that asks for one.
pub(crate) struct ChainBuilder<'a> {
    config: &'a HttpConnectionManager,
    maker: Maker<'a>,
    /// As configured, in the order of `http_filters`. CORS has nothing to do without a route.
    base: Vec<Option<SharedFilter>>,
    /// Made once for all routes that they are for: what they count and limit is one.
    overrides: HashMap<(*const FilterOverride, usize), Option<SharedFilter>>,
    filters: Filters<RouteBody>,
}

/// What a request that takes a chain has in common with others that do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ChainFor<'a> {
    /// What is said about the filters, the most specific first: by a weighted cluster, the route,
    /// the virtual host, the table.
    pub(crate) levels: [&'a [FilterOverride]; 4],
    /// Where requests are forwarded to; `None` if they are answered here.
    pub(crate) cluster: Option<&'a str>,
    /// `cors` of the route and of its virtual host.
    pub(crate) cors: [Option<&'a CorsPolicy>; 2],
    /// How long nothing may move.
    pub(crate) idle_timeout: Option<Duration>,
}

impl<'a> ChainBuilder<'a> {
    pub(crate) fn new(
        config: &'a HttpConnectionManager,
        around: Surroundings<'a>,
        downstream: &'a Arc<DownstreamStats>,
    ) -> Result<Self, String> {
        let mut this = Self {
            config,
            maker: Maker::new(config, around, downstream),
            base: Vec::new(),
            overrides: HashMap::new(),
            filters: Filters::new(),
        };
        for filter in &config.http_filters {
            let layer = this.base_layer(&filter.config)?;
            this.base.push(layer);
        }
        Ok(this)
    }

    /// The chain of a route. The default chain where there are no filters at all.
    pub(crate) fn chain(&mut self, route: &ChainFor<'_>) -> Result<ChainId, String> {
        if self.config.http_filters.is_empty() {
            return Ok(ChainId::default());
        }
        let layers = self.layers(route)?;
        let chain = layers.into_iter().fold(self.filters.chain(), Chain::shared);
        Ok(self.filters.add(chain))
    }

    /// All chains, with that of requests without a route.
    pub(crate) fn build(mut self) -> Result<Filters<RouteBody>, String> {
        let idle_timeout = self.config.timeouts.stream_idle;
        // A table has no say in what matches none of its routes.
        let layers = self.layers(&ChainFor { idle_timeout, ..ChainFor::default() })?;
        let chain = layers.into_iter().fold(self.filters.chain(), Chain::shared);
        self.filters.set_default(chain);
        Ok(self.filters)
    }

    fn layers(&mut self, route: &ChainFor<'_>) -> Result<Vec<SharedFilter>, String> {
        let mut layers = Vec::new();
        let mut waits = false;
        let config = self.config;
        for (index, filter) in config.http_filters.iter().enumerate() {
            let said: Vec<_> = route
                .levels
                .into_iter()
                .filter_map(|level| level.iter().find(|own| own.name == filter.name))
                .collect();
            if said.first().map_or(filter.disabled, |own| own.disabled) {
                continue;
            }
            let own = said.iter().copied().find(|own| own.config.is_some());
            let layer = match (&filter.config, own) {
                (HttpFilterConfig::Cors, _) => {
                    cors_policy(&said, route).map(|it| self.maker.cors(it))
                }
                (_, Some(own)) => self.override_layer(index, own)?,
                (_, None) => self.base.get(index).cloned().flatten(),
            };
            let Some(layer) = layer else { continue };
            if let Some(fault) = fault_of(&filter.config, own)
                && !fault.upstream_cluster.is_empty()
                && Some(fault.upstream_cluster.as_str()) != route.cluster
            {
                continue;
            }
            waits |= is_waiting(&filter.config, own);
            layers.push(layer);
        }
        if waits {
            layers.insert(0, self.maker.timeouts(route.idle_timeout));
        }
        Ok(layers)
    }

    fn base_layer(&mut self, config: &HttpFilterConfig) -> Result<Option<SharedFilter>, String> {
        let maker = &self.maker;
        Ok(Some(match config {
            HttpFilterConfig::Cors => return Ok(None),
            HttpFilterConfig::Buffer(max) => maker.buffer(*max),
            HttpFilterConfig::Fault(fault) => maker.fault(fault),
            HttpFilterConfig::HealthCheck(check) => maker.health_check(check)?,
            HttpFilterConfig::LocalRateLimit(limit) => self.local_rate_limit(limit)?,
        }))
    }

    fn local_rate_limit(&mut self, limit: &model::LocalRateLimit) -> Result<SharedFilter, String> {
        let headers = limits::headers(limit)?;
        if headers.reads_context() {
            self.filters.observe();
        }
        Ok(self.maker.local_rate_limit(limit, headers))
    }

    fn override_layer(
        &mut self,
        index: usize,
        own: &FilterOverride,
    ) -> Result<Option<SharedFilter>, String> {
        let key = (std::ptr::from_ref(own), index);
        if let Some(layer) = self.overrides.get(&key) {
            return Ok(layer.clone());
        }
        let layer = match &own.config {
            Some(RouteFilterConfig::Buffer(max)) => max.map(|max| self.maker.buffer(max)),
            Some(RouteFilterConfig::Fault(fault)) => Some(self.maker.fault(fault)),
            Some(RouteFilterConfig::LocalRateLimit(limit)) => Some(self.local_rate_limit(limit)?),
            Some(RouteFilterConfig::Cors(_)) | None => None,
        };
        self.overrides.insert(key, layer.clone());
        Ok(layer)
    }
}

/// The policy of a route. As in Envoy it counts only where requests are forwarded. It is put
/// together of those that are set for the filter, the most specific first; without any of those that
/// the route and its virtual host have themselves.
fn cors_policy(said: &[&FilterOverride], route: &ChainFor<'_>) -> Option<CorsPolicy> {
    route.cluster?;
    let set = said.iter().filter_map(|own| match &own.config {
        Some(RouteFilterConfig::Cors(policy)) => Some(&**policy),
        _ => None,
    });
    let own = route.cors.into_iter().flatten();
    let merged = |policies: Vec<&CorsPolicy>| {
        let (first, rest) = policies.split_first()?;
        Some(rest.iter().fold((*first).clone(), |policy, other| policy.or(other)))
    };
    merged(set.collect()).or_else(|| merged(own.collect()))
}

/// The settings of a fault filter.
fn fault_of<'c>(
    config: &'c HttpFilterConfig,
    own: Option<&'c FilterOverride>,
) -> Option<&'c model::Fault> {
    match (own.and_then(|own| own.config.as_ref()), config) {
        (Some(RouteFilterConfig::Fault(fault)), _) | (None, HttpFilterConfig::Fault(fault)) => {
            Some(fault)
        }
        _ => None,
    }
}

/// Whether a filter may keep requests.
fn is_waiting(config: &HttpFilterConfig, own: Option<&FilterOverride>) -> bool {
    match config {
        HttpFilterConfig::Buffer(_) | HttpFilterConfig::HealthCheck(_) => true,
        HttpFilterConfig::Fault(_) => {
            fault_of(config, own).is_some_and(|fault| fault.settings.delay.is_some())
        }
        HttpFilterConfig::Cors | HttpFilterConfig::LocalRateLimit(_) => false,
    }
}
