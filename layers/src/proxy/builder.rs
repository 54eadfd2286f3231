use std::sync::Arc;
use std::time::Duration;

use super::Proxy;
use super::path::{Filters, route_service};
use crate::cluster::Cluster;
use crate::forwarded::ForwardedPolicy;
use crate::hash_policy::HashPolicyLayer;
use crate::request_id::RequestIdLayer;
use crate::retry::RetryLayer;
use crate::route::{HashPolicy, PathMatch, RetryPolicy, RouteMatch, RouteTable};
use crate::router::RouteEntry;
use crate::stats::{DownstreamStats, Scope};
use crate::timeout::TimeoutLayer;
use crate::upgrade::UpgradeLayer;

/// Builds a [`Proxy`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ProxyBuilder {
    routes: Vec<(String, Cluster)>,
    timeout: Option<Duration>,
    hash: Vec<HashPolicy>,
    retry: RetryLayer,
    upgrade: UpgradeLayer,
    forwarded: ForwardedPolicy,
    request_id: RequestIdLayer,
    stats: Option<DownstreamStats>,
    pub(super) mount: Mount,
}

/// What is known of the app around the proxy.
#[derive(Clone, Debug, Default)]
pub(super) struct Mount {
    /// What axum has taken from the path.
    pub(super) nested_at: Option<Arc<str>>,
    #[cfg(feature = "axum")]
    pub(super) connect_info: Option<super::axum::ConnectInfoPeer>,
    #[cfg(feature = "axum")]
    pub(super) original_uri: bool,
}

impl ProxyBuilder {
    pub(super) fn new() -> Self {
        Self {
            routes: Vec::new(),
            timeout: Some(DEFAULT_TIMEOUT),
            hash: Vec::new(),
            retry: RetryLayer::disabled(),
            upgrade: UpgradeLayer::new(),
            forwarded: ForwardedPolicy::default(),
            request_id: RequestIdLayer::new(),
            stats: None,
            mount: Mount::default(),
        }
    }

    /// Sends requests whose path begins with `prefix` to this cluster. The first route that matches
    /// is taken, so longer prefixes come before shorter ones. Requests without a route get a 404.
    pub fn route(mut self, prefix: impl Into<String>, cluster: Cluster) -> Self {
        self.routes.push((prefix.into(), cluster));
        self
    }

    /// How long a response may take, with all that belongs to it; `None` is for ever. Default 15 s.
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// Tries again where this policy says so. Default never.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = RetryLayer::new(policy);
        self
    }

    /// Gives requests that are alike in this the same endpoint, under a balancer that goes by it,
    /// as [`RingHash`](crate::balance::RingHash) does. Default nothing.
    pub fn hash(mut self, policies: impl IntoIterator<Item = HashPolicy>) -> Self {
        self.hash.extend(policies);
        self
    }

    /// Lets clients switch to this protocol, as to `websocket`. Default none; others are refused.
    pub fn upgrade(mut self, protocol: impl Into<String>) -> Self {
        self.upgrade = self.upgrade.allow(protocol);
        self
    }

    /// What is believed of requests and said of them. The default is that of a proxy behind
    /// another; at the edge, where clients connect from anywhere, set `use_remote_address`.
    pub fn forwarded(mut self, policy: ForwardedPolicy) -> Self {
        self.forwarded = policy;
        self
    }

    /// Whether requests without `x-request-id` get one. Default `true`.
    pub fn generate_request_id(mut self, generate: bool) -> Self {
        self.request_id = self.request_id.generate(generate);
        self
    }

    /// Counts requests as `http.<prefix>.*` in this scope. Default nowhere. Clusters count for
    /// themselves, see [`ClusterBuilder::stats`](crate::cluster::ClusterBuilder::stats).
    pub fn stats(mut self, scope: &Scope, prefix: &str) -> Self {
        self.stats = Some(DownstreamStats::new(scope, prefix));
        self
    }

    /// Puts this before every path: what `nest_service` has taken away, so that routes match and the
    /// upstream gets the path that the client asked for.
    pub fn nested_at(mut self, path: impl AsRef<str>) -> Self {
        let path = path.as_ref().trim_end_matches('/');
        self.mount.nested_at = (!path.is_empty()).then(|| path.into());
        self
    }

    /// The proxy.
    pub fn build(self) -> Proxy {
        let timeout = TimeoutLayer::optional(self.timeout.filter(|t| !t.is_zero()));
        let share_client = !self.hash.is_empty();
        let hash = HashPolicyLayer::new(self.hash);
        let routes = self.routes.into_iter().map(|(prefix, cluster)| {
            let entry = RouteEntry::forward(route_service(cluster, &timeout, &hash, &self.retry));
            (RouteMatch::new(PathMatch::Prefix(prefix)), entry)
        });
        let table = RouteTable::builder().virtual_host("proxy", ["*"], routes).build();
        // The one way to fail is a domain that is given twice, and there is one.
        let table = table.expect("a single domain");
        let stats = self.stats.unwrap_or_else(|| DownstreamStats::new(&Scope::noop(), "proxy"));
        let filters = Filters {
            upgrade: self.upgrade,
            stats: Arc::new(stats),
            forwarded: self.forwarded,
            share_client,
            request_id: self.request_id,
        };
        Proxy::assembled(filters.path(table), self.mount)
    }
}

/// Envoy's default for a route.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
