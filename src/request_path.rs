//! The path of a request through the layers: the one place where the program puts them together.
//!
//! For those who start from the layers, `layers/src/proxy/path.rs` does the same in small, without
//! access logs and the server header. A layer that is added here may belong there too.

use std::sync::{Arc, OnceLock};

use front_proxy_layers::access_log::{self, AccessLog, AccessLogLayer, AccessLogger};
use front_proxy_layers::body::{Body, ResponseBody};
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::filters::Filtered;
use front_proxy_layers::forwarded::{Forwarded, ForwardedLayer, ForwardedPolicy, Peer};
use front_proxy_layers::hash_policy::{HashPolicyLayer, Hashing};
use front_proxy_layers::http2::CodecStats;
use front_proxy_layers::request_id::{RequestId, RequestIdLayer};
use front_proxy_layers::respond::{Respond, RespondLayer};
use front_proxy_layers::retry::{self, Retry, RetryLayer};
use front_proxy_layers::sanitize::{Sanitize, SanitizeLayer};
use front_proxy_layers::server_header::{ServerHeader, ServerHeaderLayer};
use front_proxy_layers::stats::{DownstreamStats, ListenerCodes, Scope, Stats, StatsLayer};
use front_proxy_layers::stream_info::Observer;
use front_proxy_layers::timeout::{Timeout, TimeoutLayer};
use front_proxy_layers::upgrade::{self, Upgrade, UpgradeLayer};
use front_proxy_layers::upstream_stats::{self, UpstreamStats, UpstreamStatsLayer};
use front_proxy_layers::upstream_timing::{UpstreamTiming, UpstreamTimingLayer};
use front_proxy_layers::{stats, timeout};
use http::{HeaderValue, Request};
use tower::ServiceBuilder;
use tower_service::Service;

use front_proxy_layers::cluster::UpstreamBody;

use crate::connection::Http1Stats;

/// What a route forwards to.
pub(crate) type RouteService = UpstreamStats<Timeout<Hashing<UpstreamTiming<Retry<Cluster>>>>>;

/// What serves the requests of one connection.
pub(crate) type ConnectionService =
    Upgrade<Stats<AccessLog<ServerHeader<Respond<Sanitize<Forwarded<RequestId<Routed>>>>>>>>;

/// The HTTP filters, and the last of them.
type Routed = Filtered<RouteService, RouteBody>;

/// The body of what a route forwards.
pub(crate) type RouteBody =
    upstream_stats::ResponseBody<timeout::ResponseBody<retry::ResponseBody<UpstreamBody>>>;

/// The future of its responses.
pub(crate) type ConnectionFuture = <ConnectionService as Service<Request<Body>>>::Future;

/// The body of its responses.
pub(crate) type ConnectionBody =
    upgrade::ResponseBody<stats::ResponseBody<access_log::ResponseBody<ResponseBody<RouteBody>>>>;

/// From a route to its cluster. A request meets these from top to bottom, its response from
/// bottom to top.
pub(crate) fn route_service(
    cluster: &Cluster,
    timeout: &TimeoutLayer,
    hash: &HashPolicyLayer,
    retry: &RetryLayer,
    envoy_headers: bool,
) -> RouteService {
    ServiceBuilder::new()
        // Outside timeouts: what counts for the cluster is what the client got in its name.
        .layer(UpstreamStatsLayer::new(Arc::clone(cluster.stats())))
        // Around all tries together.
        .layer(timeout.clone())
        // Once for all tries; a cookie is given with the answer of an upstream only.
        .layer(hash.clone())
        // Until the answer that counts: Envoy's time includes the tries before it.
        .layer(UpstreamTimingLayer::new().silent(!envoy_headers))
        // Innermost: each try is a request of its own to the cluster.
        .layer(retry.clone())
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
    pub(crate) upgrade: UpgradeLayer,
    pub(crate) stats: Arc<DownstreamStats>,
    pub(crate) listener_codes: Arc<ListenerCodes>,
    pub(crate) codec_stats: Http1Stats,
    pub(crate) access_logs: Arc<[AccessLogger]>,
    /// `http2.*`, which all listeners share.
    pub(crate) http2: Http2Stats,
    pub(crate) server_header: ServerHeaderLayer,
    pub(crate) respond: RespondLayer,
    pub(crate) sanitize: SanitizeLayer,
    pub(crate) forwarded: Arc<ForwardedPolicy>,
    /// Some route asks whose a request is.
    pub(crate) share_client: bool,
    pub(crate) request_id: RequestIdLayer,
    /// What `http_filters` say, and the router.
    pub(crate) routed: Routed,
    /// Some routes or filters add headers that are made of what is known of a request.
    pub(crate) observed: bool,
}

impl HttpFilters {
    /// From a connection to the router. Without a peer it is each request's own.
    pub(crate) fn for_connection(
        &self,
        peer: impl Into<Option<Peer>>,
        certificate: Option<HeaderValue>,
        access_log: AccessLogLayer,
        observer: Option<Arc<Observer>>,
    ) -> ConnectionService {
        let peer = peer.into();
        ServiceBuilder::new()
            // Outermost: inside a tunnel is a request and a response like any other.
            .layer(self.upgrade.clone())
            // Counts every request once, and its response to the last byte.
            .layer(
                StatsLayer::new(Arc::clone(&self.stats)).listener(Arc::clone(&self.listener_codes)),
            )
            // Sees answers as they go out; requests that nobody logs pass through.
            .layer(access_log)
            // On every answer, also those that the proxy makes itself.
            .layer(self.server_header.clone())
            // Errors end here: further out there are only responses.
            .layer(self.respond)
            // Before anything looks at a header that must not be believed or passed on.
            .layer(self.sanitize.clone().tls(peer.is_some_and(|peer| peer.tls)))
            // Decides what of the client's word counts; takes an untrusted request id away.
            .layer(
                ForwardedLayer::new(Arc::clone(&self.forwarded))
                    .peer(peer)
                    .certificate(certificate)
                    .share_client(self.share_client),
            )
            .layer(self.request_id)
            // Finds the route first: it says which filters a request passes on its way to it.
            .service(self.routed.clone().observer(observer))
    }
}
