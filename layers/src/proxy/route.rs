//! What a proxy does with the requests of a route.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use tower_layer::Layer;

use super::http_filters::HttpFilters;
use crate::cluster::{Cluster, Priority};
use crate::filters::{ChainId, Filter};
use crate::hash_policy::HashPolicyLayer;
use crate::header_edit::{HeaderEditError, HeaderEditor, Levels};
use crate::http_connection_manager::{RouteBody, RouteLayer, RouteService};
#[cfg(feature = "retry")]
use crate::retry::RetryLayer;
#[cfg(feature = "retry")]
use crate::route::RetryPolicy;
use crate::route::rewrite::{HostName, RewriteConfigError};
use crate::route::substitution::SubstitutionError;
use crate::route::weighted::NoWeight;
use crate::route::{
    DirectResponse, HashPolicy, HeaderEdits, Redirect, Redirector, RequestRewrite, UpgradeRule,
    WeightedChoice,
};
use crate::router::{Destination, ForwardTarget, RouteEntry};
use crate::stats::DownstreamStats;
use crate::timeout::TimeoutLayer;

/// What a [`Proxy`](super::Proxy) does with the requests of a route: sends them to a cluster, or
/// answers them. A [`Cluster`] alone is one, with the proxy's defaults.
///
/// ```
/// use std::time::Duration;
///
/// use front_proxy_layers::cluster::Cluster;
/// use front_proxy_layers::proxy::{Proxy, Route};
/// use front_proxy_layers::route::RouteMatch;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stable = Cluster::builder("stable").endpoints(["127.0.0.1:8001"])?.build();
/// let canary = Cluster::builder("canary").endpoints(["127.0.0.1:8002"])?.build();
/// let proxy = Proxy::builder()
///     .route(RouteMatch::exact("/version"), Route::answer(200.try_into()?, "1\n"))
///     .route("/slow/", Route::to(stable.clone()).timeout(Some(Duration::from_secs(60))))
///     .route("/api/", Route::weighted([(95, stable), (5, canary)])?.prefix_rewrite("/"))
///     .build();
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Route {
    target: Target,
    name: Option<Arc<str>>,
    editor: HeaderEditor,
    rewrite: Option<RequestRewrite>,
    upgrades: Vec<UpgradeRule>,
    priority: Priority,
    pub(super) http_filters: HttpFilters,
    /// Where it differs from the proxy's.
    own: Options,
}

#[derive(Clone, Debug)]
enum Target {
    Single(Cluster),
    Weighted(Vec<(u32, Cluster)>),
    Redirect(Box<Redirector>),
    Direct(DirectResponse),
}

/// What can be said of a route and of all routes of a proxy.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) timeout: Option<Option<Duration>>,
    pub(super) idle_timeout: Option<Option<Duration>>,
    pub(super) request_timeout: Option<Duration>,
    pub(super) max_stream_duration: Option<Duration>,
    #[cfg(feature = "retry")]
    pub(super) retry: Option<RetryPolicy>,
    pub(super) hash: Option<Vec<HashPolicy>>,
}

impl Route {
    /// Sends requests to this cluster.
    pub fn to(cluster: Cluster) -> Self {
        Self::new(Target::Single(cluster))
    }

    /// Sends each request to one of these clusters, drawn by their weights: 95 and 5 give the second
    /// one request in twenty, at random.
    ///
    /// # Errors
    ///
    /// All weights are 0.
    pub fn weighted(clusters: impl IntoIterator<Item = (u32, Cluster)>) -> Result<Self, NoWeight> {
        let clusters: Vec<_> = clusters.into_iter().filter(|(weight, _)| *weight > 0).collect();
        if clusters.is_empty() {
            return Err(NoWeight);
        }
        Ok(Self::new(Target::Weighted(clusters)))
    }

    /// Answers with a redirect.
    ///
    /// # Errors
    ///
    /// A substitution names a group that its pattern does not have.
    pub fn redirect(redirect: Redirect) -> Result<Self, SubstitutionError> {
        Ok(Self::new(Target::Redirect(Box::new(Redirector::new(redirect)?))))
    }

    /// Answers with this, as `text/plain` where there is a body.
    pub fn answer(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::new(Target::Direct(DirectResponse { status, body: body.into() }))
    }

    fn new(target: Target) -> Self {
        Self {
            target,
            name: None,
            editor: HeaderEditor::default(),
            rewrite: None,
            upgrades: Vec::new(),
            priority: Priority::Default,
            http_filters: HttpFilters::default(),
            own: Options::default(),
        }
    }

    /// A name, which access logs tell as `%ROUTE_NAME%`.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long a response may take, with all that belongs to it; `None` is for ever. Default the
    /// proxy's.
    #[must_use]
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.own.timeout = Some(timeout);
        self
    }

    /// How long nothing may move of request and response; `None` is for ever. Default the proxy's.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.own.idle_timeout = Some(timeout);
        self
    }

    /// Tries again where this policy says so. Default the proxy's.
    #[cfg(feature = "retry")]
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.own.retry = Some(policy);
        self
    }

    /// Gives requests that are alike in this the same endpoint. Default the proxy's.
    #[must_use]
    pub fn hash(mut self, policies: impl IntoIterator<Item = HashPolicy>) -> Self {
        self.own.hash = Some(policies.into_iter().collect());
        self
    }

    /// Puts this in place of the prefix that was matched, or of the whole path where that was matched.
    /// Nothing is repaired: `/a` replaced by `/` makes `//b` of `/a/b`. The upstream is told the
    /// path as it was in `x-envoy-original-path`.
    #[must_use]
    pub fn prefix_rewrite(mut self, prefix: impl Into<String>) -> Self {
        self.rewrite = Some(self.rewrite.unwrap_or_default().prefix(prefix));
        self
    }

    /// Sends this for a host, with a port where it is not the usual one. Default what the client sent.
    /// The upstream is told the host as it was in `x-envoy-original-host`.
    ///
    /// # Errors
    ///
    /// It can't be a host.
    pub fn host_rewrite(mut self, host: &str) -> Result<Self, RewriteConfigError> {
        let name = HeaderValue::from_str(host).ok().and_then(HostName::new);
        let name = name.ok_or(RewriteConfigError::Host)?;
        self.rewrite = Some(self.rewrite.unwrap_or_default().host(name));
        Ok(self)
    }

    /// Changes path or host on the way upstream, in place of any change that was given before.
    #[must_use]
    pub fn rewrite(mut self, rewrite: RequestRewrite) -> Self {
        self.rewrite = Some(rewrite);
        self
    }

    /// Adds and takes out headers, of requests and of responses, whoever makes these.
    ///
    /// # Errors
    ///
    /// A value is not a format, or the header is one that must not be edited.
    pub fn headers(mut self, edits: &HeaderEdits) -> Result<Self, HeaderEditError> {
        self.editor = HeaderEditor::compile(Levels { route: Some(edits), ..Levels::default() })?;
        Ok(self)
    }

    /// Lets clients switch to this protocol, as to `websocket`. Default what the proxy allows.
    #[must_use]
    pub fn upgrade(mut self, protocol: impl Into<String>) -> Self {
        let upgrade_type = protocol.into();
        self.upgrades.push(UpgradeRule { upgrade_type, enabled: true, connect_tcp: false });
        self
    }

    /// Opens a TCP tunnel to an endpoint for each `CONNECT` (Envoy's `connect_config`), where
    /// [`upgrade("CONNECT")`](Self::upgrade) sends the request on for the endpoint to do that. The
    /// route's match is [`PathMatch::Connect`](crate::route::PathMatch::Connect).
    ///
    /// ```
    /// use front_proxy_layers::cluster::Cluster;
    /// use front_proxy_layers::proxy::{Proxy, Route};
    /// use front_proxy_layers::route::{PathMatch, RouteMatch};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ssh = Cluster::builder("ssh").endpoints(["10.0.0.1:22"])?.build();
    /// let tunnels = RouteMatch::new(PathMatch::Connect);
    /// let proxy = Proxy::builder().route(tunnels, Route::to(ssh).connect_tcp()).build();
    /// # let _ = proxy;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn connect_tcp(mut self) -> Self {
        let upgrade_type = "CONNECT".to_owned();
        self.upgrades.push(UpgradeRule { upgrade_type, enabled: true, connect_tcp: true });
        self
    }

    /// Whose circuit breakers the requests count against. Default [`Priority::Default`].
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Lets the requests pass this filter, in place of the proxy's or the virtual host's of this name,
    /// else behind all of theirs: see [`ProxyBuilder::http_filter`](super::ProxyBuilder::http_filter).
    #[must_use]
    pub fn http_filter(
        mut self,
        name: impl Into<Arc<str>>,
        filter: impl Filter<RouteBody> + 'static,
    ) -> Self {
        self.http_filters.set(name.into(), Some(Arc::new(filter)));
        self
    }

    /// Keeps the proxy's or the virtual host's filter of this name out of these requests' way.
    #[must_use]
    pub fn without_http_filter(mut self, name: impl Into<Arc<str>>) -> Self {
        self.http_filters.set(name.into(), None);
        self
    }

    pub(super) fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        let (one, many) = match &self.target {
            Target::Single(cluster) => (Some(cluster), &[][..]),
            Target::Weighted(clusters) => (None, &clusters[..]),
            Target::Redirect(_) | Target::Direct(_) => (None, &[][..]),
        };
        one.into_iter().chain(many.iter().map(|(_, cluster)| cluster))
    }

    pub(super) fn hashes(&self) -> bool {
        self.own.hash.as_ref().is_some_and(|policies| !policies.is_empty())
    }

    /// The route with its services behind these filters, where `common` holds for what it does not
    /// say itself.
    pub(super) fn entry(
        self,
        common: &Options,
        stats: &Arc<DownstreamStats>,
        chain: ChainId,
    ) -> RouteEntry<RouteService> {
        let Self { target, name, editor, rewrite, upgrades, priority, http_filters: _, own } = self;
        let to = |cluster: Cluster| {
            let names = cluster.names().clone();
            let service = own.service(common, cluster.with_priority(priority), stats);
            ForwardTarget::Single(Destination::new(service).cluster(names))
        };
        let entry = match target {
            Target::Single(cluster) => RouteEntry::forward_to(to(cluster)),
            Target::Weighted(clusters) => {
                let clusters = clusters.into_iter().map(|(weight, cluster)| (weight, to(cluster)));
                let choice = WeightedChoice::new(clusters).expect("`weighted` has seen a weight");
                RouteEntry::forward_to(ForwardTarget::Weighted(choice))
            }
            Target::Redirect(redirector) => RouteEntry::redirect(*redirector),
            Target::Direct(response) => RouteEntry::direct(response),
        };
        let entry = entry.headers(editor).upgrades(upgrades).filters(chain);
        let entry = match rewrite {
            Some(rewrite) => entry.rewrite(rewrite),
            None => entry,
        };
        match name {
            Some(name) => entry.named(name),
            None => entry,
        }
    }
}

impl From<Cluster> for Route {
    fn from(cluster: Cluster) -> Self {
        Self::to(cluster)
    }
}

impl Options {
    /// From a route to its cluster.
    fn service(
        &self,
        common: &Self,
        cluster: Cluster,
        downstream: &Arc<DownstreamStats>,
    ) -> RouteService {
        let limit = |own: Option<Option<Duration>>, common: Option<Option<Duration>>| {
            own.or(common).flatten().filter(|limit| !limit.is_zero())
        };
        let timeout = TimeoutLayer::optional(limit(self.timeout, common.timeout))
            .idle(limit(self.idle_timeout, common.idle_timeout))
            .request(common.request_timeout.filter(|limit| !limit.is_zero()))
            .max_stream_duration(common.max_stream_duration.filter(|limit| !limit.is_zero()))
            .downstream_stats(Arc::clone(downstream));
        let hash = self.hash.clone().or_else(|| common.hash.clone()).unwrap_or_default();
        let route = RouteLayer::new().timeout(timeout).hash_policy(HashPolicyLayer::new(hash));
        #[cfg(feature = "retry")]
        let route = match self.retry.clone().or_else(|| common.retry.clone()) {
            Some(policy) => route.retry(RetryLayer::new(policy)),
            None => route,
        };
        route.layer(cluster)
    }
}
