use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::http_filters::{ChainBuilder, HttpFilters};
use super::route::Options;
use super::{Proxy, Route, VirtualHost};
#[cfg(feature = "access-log")]
use crate::access_log::AccessLogger;
use crate::cluster::Cluster;
use crate::filters::Filter;
use crate::forwarded::ForwardedPolicy;
use crate::http_connection_manager::{Connection, HttpConnectionManager, RouteBody};
use crate::mount::MountLayer;
use crate::request_id::RequestIdLayer;
#[cfg(feature = "retry")]
use crate::route::RetryPolicy;
use crate::route::{HashPolicy, RouteMatch, RouteTable, RouteTableError};
use crate::sanitize::SanitizeLayer;
use crate::server_header::ServerHeaderLayer;
use crate::stats::{DownstreamStats, Scope};
use crate::upgrade::UpgradeLayer;

/// Builds a [`Proxy`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ProxyBuilder {
    routes: Vec<(RouteMatch, Route)>,
    hosts: Vec<VirtualHost>,
    options: Options,
    http_filters: HttpFilters,
    upgrade: UpgradeLayer,
    #[cfg(feature = "access-log")]
    access_logs: Vec<AccessLogger>,
    server_header: Option<ServerHeaderLayer>,
    sanitize: SanitizeLayer,
    forwarded: ForwardedPolicy,
    request_id: RequestIdLayer,
    stats: Option<DownstreamStats>,
    mount: MountLayer,
}

impl ProxyBuilder {
    pub(super) fn new() -> Self {
        Self {
            routes: Vec::new(),
            hosts: Vec::new(),
            options: Options { timeout: Some(Some(DEFAULT_TIMEOUT)), ..Options::default() },
            http_filters: HttpFilters::default(),
            upgrade: UpgradeLayer::new(),
            #[cfg(feature = "access-log")]
            access_logs: Vec::new(),
            server_header: None,
            sanitize: SanitizeLayer::new(),
            forwarded: ForwardedPolicy::default(),
            request_id: RequestIdLayer::new(),
            stats: None,
            mount: MountLayer::new(),
        }
    }

    /// Sends requests that match to a cluster, or does with them what the [`Route`] says. A text is a
    /// prefix of the path, as in Envoy: `/service/1` matches `/service/10` too; see [`RouteMatch`] for
    /// other things to go by. The first route that matches is taken, so longer prefixes come before
    /// shorter ones. Requests without a route get a 404.
    pub fn route(mut self, matching: impl Into<RouteMatch>, route: impl Into<Route>) -> Self {
        self.routes.push((matching.into(), route.into()));
        self
    }

    /// Routes for requests to some hosts. These requests don't see the routes of other hosts, nor
    /// those that were given to the builder itself, which are for all hosts that are not named.
    ///
    /// ```
    /// use front_proxy_layers::cluster::Cluster;
    /// use front_proxy_layers::proxy::{Proxy, VirtualHost};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let [shop, blog] = ["shop", "blog"].map(|name| Cluster::builder(name).build());
    /// let hosts = VirtualHost::new(["shop.example.com", "*.shop.example.com"]).route("/", shop);
    /// let proxy = Proxy::builder().virtual_host(hosts)?.route("/", blog).build();
    /// # let _ = proxy;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Another virtual host has one of the domains, compared without case, or one of them is `*`.
    pub fn virtual_host(mut self, host: VirtualHost) -> Result<Self, RouteTableError> {
        let mut taken: Vec<&str> = vec!["*"];
        taken.extend(self.hosts.iter().flat_map(|host| &host.domains).map(String::as_str));
        for domain in &host.domains {
            if taken.iter().any(|taken| taken.eq_ignore_ascii_case(domain)) {
                return Err(RouteTableError::DuplicateDomain { domain: domain.clone() });
            }
            taken.push(domain);
        }
        self.hosts.push(host);
        Ok(self)
    }

    /// How long a response may take, with all that belongs to it; `None` is for ever. Default 15 s.
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// How long nothing may move of request and response; `None` is for ever. Default for ever: Envoy's
    /// is five minutes, kept by its connection manager.
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.options.idle_timeout = Some(timeout);
        self
    }

    /// How long a client may take to send a request with its body; `None` is for ever. Default for
    /// ever. Clients that take longer get a 408.
    pub fn request_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.options.request_timeout = timeout;
        self
    }

    /// How long request and response may take together, whatever moves; `None` is for ever. Default
    /// for ever. A response that has begun by then is cut off, another is a 504.
    pub fn max_stream_duration(mut self, limit: Option<Duration>) -> Self {
        self.options.max_stream_duration = limit;
        self
    }

    /// Tries again where this policy says so. Default never.
    #[cfg(feature = "retry")]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.options.retry = Some(policy);
        self
    }

    /// Gives requests that are alike in this the same endpoint, under a balancer that goes by it,
    /// as [`RingHash`](crate::balance::RingHash) does. Default nothing.
    pub fn hash(mut self, policies: impl IntoIterator<Item = HashPolicy>) -> Self {
        self.options.hash.get_or_insert_default().extend(policies);
        self
    }

    /// Lets requests pass this layer between their route and what that does with them, behind the
    /// filters that were given before it, or in place of the one that has this name. Default none.
    ///
    /// A filter is any layer that takes a [`Request`](http::Request) with a
    /// [`Body`](crate::body::Body) and lets the errors of the service inside pass. What it answers is
    /// counted and logged like any other answer. Requests without a route pass it too. A
    /// [`VirtualHost`] or a [`Route`] may have another one of that name, or
    /// [none](Route::without_http_filter).
    ///
    /// It costs what it does, a boxed future, and for the first filter what is
    /// [known](crate::stream_info::StreamInfo) of a request. The proxy's timeouts begin behind all
    /// filters: before one that may keep requests waiting, put a
    /// [`TimeoutLayer`](crate::timeout::TimeoutLayer) as a filter of its own.
    ///
    /// ```
    /// use front_proxy_layers::body::Body;
    /// use front_proxy_layers::buffer::BufferLayer;
    /// use front_proxy_layers::cluster::Cluster;
    /// use front_proxy_layers::proxy::{Proxy, Route};
    /// use http::{HeaderValue, Request};
    /// use tower::util::MapRequestLayer;
    ///
    /// let sign = MapRequestLayer::new(|mut request: Request<Body>| {
    ///     request.headers_mut().insert("x-signature", HeaderValue::from_static("secret"));
    ///     request
    /// });
    /// let cluster = Cluster::builder("service1").build();
    /// let proxy = Proxy::builder()
    ///     .http_filter("buffer", BufferLayer::new(1 << 20))
    ///     .http_filter("sign", sign)
    ///     .route("/upload", Route::to(cluster.clone()).without_http_filter("buffer"))
    ///     .route("/", cluster)
    ///     .build();
    /// # let _ = proxy;
    /// ```
    pub fn http_filter(
        mut self,
        name: impl Into<Arc<str>>,
        filter: impl Filter<RouteBody> + 'static,
    ) -> Self {
        self.http_filters.set(name.into(), Some(Arc::new(filter)));
        self
    }

    /// Lets clients switch to this protocol, as to `websocket`. Default none; others are refused.
    pub fn upgrade(mut self, protocol: impl Into<String>) -> Self {
        self.upgrade = self.upgrade.allow(protocol);
        self
    }

    /// Logs requests there, when their responses have ended. Default nowhere.
    #[cfg(feature = "access-log")]
    pub fn access_log(mut self, logger: AccessLogger) -> Self {
        self.access_logs.push(logger);
        self
    }

    /// What is said of the server in responses. Default nothing: what the upstream says passes.
    pub fn server_header(mut self, layer: ServerHeaderLayer) -> Self {
        self.server_header = Some(layer);
        self
    }

    /// How host and path are spelled before routes look at them. Default as the client has it.
    pub fn sanitize(mut self, layer: SanitizeLayer) -> Self {
        self.sanitize = layer;
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

    /// Whether responses carry `x-request-id` too. Default `false`.
    pub fn respond_request_id(mut self, respond: bool) -> Self {
        self.request_id = self.request_id.respond(respond);
        self
    }

    /// Counts requests as `http.<prefix>.*` in this scope. Default `http.proxy.*` in
    /// [`Scope::process`]. Connections are not counted: the app has them. Clusters count for themselves, see [`ClusterBuilder::stats`](crate::cluster::ClusterBuilder::stats).
    pub fn stats(mut self, scope: &Scope, prefix: &str) -> Self {
        self.stats = Some(DownstreamStats::of_requests(scope, prefix));
        self
    }

    /// Puts this before every path: see [`MountLayer::nested_at`].
    pub fn nested_at(mut self, path: impl AsRef<str>) -> Self {
        self.mount = self.mount.nested_at(path);
        self
    }

    /// Takes the client's address from axum's `ConnectInfo<SocketAddr>`: see
    /// [`MountLayer::connect_info`].
    ///
    /// ```
    /// use std::net::SocketAddr;
    ///
    /// use axum::Router;
    /// use front_proxy_layers::cluster::Cluster;
    /// use front_proxy_layers::forwarded::ForwardedPolicy;
    /// use front_proxy_layers::proxy::Proxy;
    ///
    /// let edge = ForwardedPolicy { use_remote_address: true, ..ForwardedPolicy::default() };
    /// let proxy = Proxy::builder().route("/", Cluster::builder("service1").build());
    /// let proxy = proxy.forwarded(edge).connect_info(false).build();
    /// let app = Router::new().fallback_service(proxy);
    /// let service = app.into_make_service_with_connect_info::<SocketAddr>();
    /// # let _ = service;
    /// ```
    #[cfg(feature = "axum")]
    pub fn connect_info(mut self, tls: bool) -> Self {
        self.mount = self.mount.connect_info(tls);
        self
    }

    /// Takes the target from axum's `OriginalUri`: see [`MountLayer::original_uri`].
    #[cfg(feature = "axum")]
    pub fn original_uri(mut self) -> Self {
        self.mount = self.mount.original_uri();
        self
    }

    /// The clusters that the routes so far send requests to, each once: for pages that show them.
    pub fn clusters(&self) -> Vec<Cluster> {
        let of_hosts = self.hosts.iter().flat_map(|host| &host.routes);
        let mut clusters: Vec<Cluster> = Vec::new();
        for cluster in of_hosts.chain(&self.routes).flat_map(|(_, route)| route.clusters()) {
            if !clusters.iter().any(|known| known.is(cluster)) {
                clusters.push(cluster.clone());
            }
        }
        clusters
    }

    /// The proxy.
    pub fn build(self) -> Proxy {
        let stats = self.stats;
        let stats =
            stats.unwrap_or_else(|| DownstreamStats::of_requests(&Scope::process(), "proxy"));
        let stats = Arc::new(stats);
        let all_others = VirtualHost { routes: self.routes, ..VirtualHost::new(["*"]) };
        let hosts: Vec<_> = self.hosts.into_iter().chain([all_others]).collect();
        let all = || hosts.iter().flat_map(|host| &host.routes).map(|(_, route)| route);
        let hashes = self.options.hash.as_ref().is_some_and(|policies| !policies.is_empty());
        let share_client = hashes || all().any(Route::hashes);
        let mut chains = ChainBuilder::new(self.http_filters);
        let mut table = RouteTable::builder();
        for VirtualHost { domains, routes, http_filters } in hosts {
            let name = domains.first().cloned().unwrap_or_default();
            let mut entry = |route: Route| {
                let chain = chains.add(&route.http_filters.or(&http_filters));
                route.entry(&self.options, &stats, chain)
            };
            let routes = routes.into_iter().map(|(matching, route)| (matching, entry(route)));
            table = table.virtual_host(name, domains, routes);
        }
        // The one way to fail is a domain that is given twice: `virtual_host` has looked.
        let table = table.build().expect("no domain twice");
        let manager = HttpConnectionManager::new(stats, table, chains.build())
            .upgrade(self.upgrade.routes_decide())
            .sanitize(self.sanitize)
            .forwarded(self.forwarded)
            .share_client(share_client)
            .request_id(self.request_id);
        #[cfg(feature = "access-log")]
        let manager = manager.access_logs(self.access_logs);
        let manager = match self.server_header {
            Some(layer) => manager.server_header(layer),
            None => manager,
        };
        Proxy::assembled(self.mount.layer(manager.for_connection(Connection::default())))
    }
}

/// Envoy's default for a route.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
