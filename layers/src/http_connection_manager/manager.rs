use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use super::{Connection, ConnectionService, RouteBody, RouteService, chain};
#[cfg(feature = "access-log")]
use crate::access_log::AccessLogger;
use crate::filters::{Filtered, Filters};
use crate::forwarded::ForwardedPolicy;
use crate::request_id::RequestIdLayer;
use crate::respond::RespondLayer;
use crate::route::RouteTable;
use crate::router::{RouteEntry, Router, RouterStats};
use crate::sanitize::SanitizeLayer;
use crate::server_header::{ServerHeaderLayer, Transformation};
use crate::stats::{DownstreamStats, ListenerCodes};
use crate::upgrade::UpgradeLayer;

/// What the connections of a proxy have in common; see the [module](super).
#[derive(Clone)]
pub struct HttpConnectionManager {
    pub(super) upgrade: UpgradeLayer,
    pub(super) stats: Arc<DownstreamStats>,
    pub(super) listener_codes: Option<Arc<ListenerCodes>>,
    #[cfg(feature = "access-log")]
    pub(super) access_logs: Arc<[AccessLogger]>,
    pub(super) server_header: ServerHeaderLayer,
    pub(super) respond: RespondLayer,
    pub(super) sanitize: SanitizeLayer,
    pub(super) forwarded: Arc<ForwardedPolicy>,
    pub(super) share_client: bool,
    pub(super) request_id: RequestIdLayer,
    pub(super) filters: chain::Filters,
    /// Some routes or filters add headers that are made of what is known of a request.
    pub(super) observed: bool,
}

impl HttpConnectionManager {
    /// Counts into `stats`, finds routes in `routes`, and lets requests pass the `filters` that their
    /// routes name. All else is as in [`Proxy::builder`](crate::proxy::Proxy::builder), with no
    /// protocol to switch to, until it is set.
    pub fn new(
        stats: impl Into<Arc<DownstreamStats>>,
        routes: RouteTable<RouteEntry<RouteService>>,
        filters: Filters<RouteBody>,
    ) -> Self {
        let stats = stats.into();
        let observed =
            filters.is_observed() || routes.actions().any(|(_, entry)| entry.reads_context());
        let router_stats = Arc::new(RouterStats::new(stats.scope()));
        let router = Router::new(Arc::new(routes)).stats(router_stats);
        // An app has a name of its own; what an upstream says of itself passes.
        let server_header = ServerHeaderLayer::new(HeaderValue::from_static("front-proxy"))
            .transformation(Transformation::PassThrough);
        Self {
            upgrade: UpgradeLayer::new(),
            stats,
            listener_codes: None,
            #[cfg(feature = "access-log")]
            access_logs: Arc::new([]),
            server_header,
            respond: RespondLayer::new(),
            sanitize: SanitizeLayer::new(),
            forwarded: Arc::default(),
            share_client: false,
            request_id: RequestIdLayer::new(),
            filters: Filtered::new(router, filters),
            observed,
        }
    }

    /// Which protocols clients may switch to. Default none.
    #[must_use]
    pub fn upgrade(mut self, upgrade: UpgradeLayer) -> Self {
        self.upgrade = upgrade;
        self
    }

    /// Counts statuses there as well. Default nowhere.
    #[must_use]
    pub fn listener_codes(mut self, codes: Arc<ListenerCodes>) -> Self {
        self.listener_codes = Some(codes);
        self
    }

    /// Logs requests there, when their responses have ended. Default nowhere.
    #[cfg(feature = "access-log")]
    #[must_use]
    pub fn access_logs(mut self, logs: impl Into<Arc<[AccessLogger]>>) -> Self {
        self.access_logs = logs.into();
        self
    }

    /// What is said of the server in responses. Default what the upstream says.
    #[must_use]
    pub fn server_header(mut self, layer: ServerHeaderLayer) -> Self {
        self.server_header = layer;
        self
    }

    /// How errors become responses. Default [`RespondLayer::new`].
    #[must_use]
    pub fn respond(mut self, layer: RespondLayer) -> Self {
        self.respond = layer;
        self
    }

    /// How host and path are spelled before routes look at them. Default as the client has it.
    #[must_use]
    pub fn sanitize(mut self, layer: SanitizeLayer) -> Self {
        self.sanitize = layer;
        self
    }

    /// What is believed of requests and said of them. Default as behind another proxy.
    #[must_use]
    pub fn forwarded(mut self, policy: impl Into<Arc<ForwardedPolicy>>) -> Self {
        self.forwarded = policy.into();
        self
    }

    /// Whether some route asks whose a request is, as a hash of the client's address does: see
    /// [`ForwardedLayer::share_client`](crate::forwarded::ForwardedLayer::share_client). Default
    /// `false`.
    #[must_use]
    pub fn share_client(mut self, share: bool) -> Self {
        self.share_client = share;
        self
    }

    /// Who gets an id. Default requests without one.
    #[must_use]
    pub fn request_id(mut self, layer: RequestIdLayer) -> Self {
        self.request_id = layer;
        self
    }

    /// Whether answers carry the router's own Envoy headers: see [`Router::envoy_headers`]. Default
    /// `true`.
    #[must_use]
    pub fn envoy_headers(mut self, envoy_headers: bool) -> Self {
        self.filters = self.filters.envoy_headers(envoy_headers);
        self
    }

    /// What serves a connection.
    pub fn for_connection(&self, connection: Connection) -> ConnectionService {
        ConnectionService::new(self.chain(connection))
    }

    /// Whether anybody wants to know about its connections: a log, or header values that are made
    /// of what is known of a request.
    pub fn is_observed(&self) -> bool {
        #[cfg(feature = "access-log")]
        let logged = !self.access_logs.is_empty();
        #[cfg(not(feature = "access-log"))]
        let logged = false;
        self.observed || logged
    }
}

impl fmt::Debug for HttpConnectionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnectionManager")
            .field("filters", &self.filters)
            .finish_non_exhaustive()
    }
}
