//! The path of a request through the layers: the one place where they are put together.

use std::sync::{Arc, OnceLock};

use front_proxy_layers::body::ResponseBody;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::forwarded::{Forwarded, ForwardedLayer, ForwardedPolicy, Peer};
use front_proxy_layers::http2::CodecStats;
use front_proxy_layers::request_id::{RequestId, RequestIdLayer};
use front_proxy_layers::respond::{Respond, RespondLayer};
use front_proxy_layers::router::Router;
use front_proxy_layers::sanitize::{Sanitize, SanitizeLayer};
use front_proxy_layers::server_header::{ServerHeader, ServerHeaderLayer};
use front_proxy_layers::stats::{DownstreamStats, ListenerCodes, Scope, Stats, StatsLayer};
use front_proxy_layers::timeout::{Timeout, TimeoutLayer};
use front_proxy_layers::upstream_stats::{self, UpstreamStats, UpstreamStatsLayer};
use front_proxy_layers::upstream_timing::{UpstreamTiming, UpstreamTimingLayer};
use front_proxy_layers::{stats, timeout};
use tower::ServiceBuilder;

use front_proxy_layers::cluster::UpstreamBody;

/// What a route forwards to.
pub(crate) type RouteService = UpstreamStats<Timeout<UpstreamTiming<Cluster>>>;

/// What serves the requests of one connection.
pub(crate) type ConnectionService =
    Stats<ServerHeader<Respond<Sanitize<Forwarded<RequestId<Router<RouteService>>>>>>>;

/// The body of its responses.
pub(crate) type ConnectionBody = stats::ResponseBody<
    ResponseBody<upstream_stats::ResponseBody<timeout::ResponseBody<UpstreamBody>>>,
>;

/// From a route to its cluster. A request meets these from top to bottom, its response from
/// bottom to top.
pub(crate) fn route_service(cluster: &Cluster, timeout: &TimeoutLayer) -> RouteService {
    ServiceBuilder::new()
        // Outside timeouts: what counts for the cluster is what the client got in its name.
        .layer(UpstreamStatsLayer::new(Arc::clone(cluster.stats())))
        // Around all tries together.
        .layer(timeout.clone())
        // Innermost: the upstream's own time, whatever the layers around it take.
        .layer(UpstreamTimingLayer::new())
        .service(cluster.clone())
}

/// The counters of HTTP/2 codecs. As in Envoy they are there from the first HTTP/2 connection on.
#[derive(Clone, Debug)]
pub(crate) struct Http2Stats {
    root: Scope,
    codec: OnceLock<Arc<CodecStats>>,
}

impl Http2Stats {
    pub(crate) fn new(root: &Scope) -> Self {
        Self { root: root.clone(), codec: OnceLock::new() }
    }

    pub(crate) fn codec(&self) -> &Arc<CodecStats> {
        self.codec.get_or_init(|| Arc::new(CodecStats::new(&self.root)))
    }
}

/// What a connection manager has in common for all of its connections.
#[derive(Clone, Debug)]
pub(crate) struct HttpFilters {
    pub(crate) stats: Arc<DownstreamStats>,
    pub(crate) listener_codes: Arc<ListenerCodes>,
    /// `http2.*`, which all listeners share.
    pub(crate) http2: Http2Stats,
    pub(crate) server_header: ServerHeaderLayer,
    pub(crate) sanitize: SanitizeLayer,
    pub(crate) forwarded: Arc<ForwardedPolicy>,
    pub(crate) request_id: RequestIdLayer,
    pub(crate) router: Router<RouteService>,
}

impl HttpFilters {
    /// From a connection to the router.
    pub(crate) fn for_connection(&self, peer: Peer) -> ConnectionService {
        ServiceBuilder::new()
            // Outermost: counts every request once, and its response to the last byte.
            .layer(
                StatsLayer::new(Arc::clone(&self.stats)).listener(Arc::clone(&self.listener_codes)),
            )
            // On every answer, also those that the proxy makes itself.
            .layer(self.server_header.clone())
            // Errors end here: further out there are only responses.
            .layer(RespondLayer::new())
            // Before anything looks at a header that must not be believed or passed on.
            .layer(self.sanitize.clone())
            // Decides what of the client's word counts; takes an untrusted request id away.
            .layer(ForwardedLayer::new(Arc::clone(&self.forwarded)).peer(peer))
            .layer(self.request_id)
            .service(self.router.clone())
    }
}
