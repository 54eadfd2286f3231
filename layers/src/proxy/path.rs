//! The layers that a proxy is made of, and the types they make.

use std::sync::Arc;

use tower_layer::Layer;
use tower_service::Service;

use crate::access_log::{self, AccessLog, AccessLogLayer, AccessLogger};
use crate::body::Body;
use crate::cluster::{Cluster, UpstreamBody};
use crate::forwarded::{Forwarded, ForwardedLayer, ForwardedPolicy};
use crate::hash_policy::Hashing;
use crate::request_id::{RequestId, RequestIdLayer};
use crate::respond::{Respond, RespondLayer};
use crate::retry::{self, Retry};
use crate::route::RouteTable;
use crate::router::{RouteEntry, Router, RouterStats};
use crate::sanitize::{Sanitize, SanitizeLayer};
use crate::server_header::{ServerHeader, ServerHeaderLayer};
use crate::stats::{self, DownstreamStats, Stats, StatsLayer};
use crate::timeout::{self, Timeout};
use crate::upgrade::{self, Upgrade, UpgradeLayer};
use crate::upstream_stats::{self, UpstreamStats};
use crate::upstream_timing::UpstreamTiming;

/// From a route to its cluster.
pub(super) type RouteService = UpstreamStats<Timeout<Hashing<UpstreamTiming<Retry<Cluster>>>>>;

/// From the request to its route.
pub(super) type Path =
    Upgrade<Stats<AccessLog<ServerHeader<Respond<Sanitize<Forwarded<RequestId<Routed>>>>>>>>;

type Routed = Router<RouteService>;

/// The future of [`Path`].
pub(super) type PathFuture = <Path as Service<http::Request<Body>>>::Future;

/// The body of its responses.
pub(super) type PathBody = upgrade::ResponseBody<
    stats::ResponseBody<access_log::ResponseBody<crate::body::ResponseBody<RouteBody>>>,
>;

type RouteBody =
    upstream_stats::ResponseBody<timeout::ResponseBody<retry::ResponseBody<UpstreamBody>>>;

/// What stands before the routes.
#[derive(Debug)]
pub(super) struct Filters {
    pub(super) upgrade: UpgradeLayer,
    pub(super) stats: Arc<DownstreamStats>,
    pub(super) access_logs: Vec<AccessLogger>,
    pub(super) server_header: ServerHeaderLayer,
    pub(super) sanitize: SanitizeLayer,
    pub(super) forwarded: ForwardedPolicy,
    /// Some route asks whose a request is.
    pub(super) share_client: bool,
    pub(super) request_id: RequestIdLayer,
}

impl Filters {
    pub(super) fn path(self, routes: RouteTable<RouteEntry<RouteService>>) -> Path {
        let router_stats = Arc::new(RouterStats::new(self.stats.scope()));
        let router = Router::new(Arc::new(routes)).stats(router_stats);
        let forwarded = ForwardedLayer::new(self.forwarded).share_client(self.share_client);
        let known = forwarded.layer(self.request_id.layer(router));
        let edge =
            RespondLayer::new().stats(Arc::clone(&self.stats)).layer(self.sanitize.layer(known));
        let logged = AccessLogLayer::new(self.access_logs).layer(self.server_header.layer(edge));
        self.upgrade.layer(StatsLayer::new(self.stats).layer(logged))
    }
}
