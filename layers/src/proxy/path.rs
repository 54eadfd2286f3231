//! The layers that a proxy is made of, and the types they make.

use std::sync::Arc;

use tower_layer::Layer;

use crate::cluster::{Cluster, UpstreamBody};
use crate::forwarded::{Forwarded, ForwardedLayer, ForwardedPolicy};
use crate::hash_policy::{HashPolicyLayer, Hashing};
use crate::request_id::{self, RequestId, RequestIdLayer};
use crate::respond::{self, Respond, RespondLayer};
use crate::retry::{self, Retry, RetryLayer};
use crate::route::RouteTable;
use crate::router::{self, RouteEntry, Router, RouterStats};
use crate::sanitize::{self, Sanitize, SanitizeLayer};
use crate::stats::{self, DownstreamStats, Stats, StatsLayer};
use crate::timeout::{self, Timeout, TimeoutLayer};
use crate::upgrade::{self, Upgrade, UpgradeLayer};
use crate::upstream_stats::{self, UpstreamStats, UpstreamStatsLayer};
use crate::upstream_timing::{UpstreamTiming, UpstreamTimingLayer};

/// From a route to its cluster.
pub(super) type RouteService = UpstreamStats<Timeout<Hashing<UpstreamTiming<Retry<Cluster>>>>>;

/// From the request to its route.
pub(super) type Path =
    Upgrade<Stats<Respond<Sanitize<Forwarded<RequestId<Router<RouteService>>>>>>>;

/// The future of [`Path`].
pub(super) type PathFuture = upgrade::ResponseFuture<
    stats::ResponseFuture<
        respond::ResponseFuture<
            sanitize::ResponseFuture<
                request_id::ResponseFuture<router::ResponseFuture<RouteService>>,
            >,
        >,
    >,
>;

/// The body of its responses.
pub(super) type PathBody =
    upgrade::ResponseBody<stats::ResponseBody<crate::body::ResponseBody<RouteBody>>>;

type RouteBody =
    upstream_stats::ResponseBody<timeout::ResponseBody<retry::ResponseBody<UpstreamBody>>>;

/// The order, and why it is this one: see the module of each layer.
pub(super) fn route_service(
    cluster: Cluster,
    timeout: &TimeoutLayer,
    hash: &HashPolicyLayer,
    retry: &RetryLayer,
) -> RouteService {
    let stats = Arc::clone(cluster.stats());
    let timeout = timeout.clone().stats(Arc::clone(&stats));
    let tries = retry.clone().cluster(&cluster).layer(cluster);
    let timed = UpstreamTimingLayer::new().layer(tries);
    UpstreamStatsLayer::new(stats).layer(timeout.layer(hash.layer(timed)))
}

/// What stands before the routes.
#[derive(Debug)]
pub(super) struct Filters {
    pub(super) upgrade: UpgradeLayer,
    pub(super) stats: Arc<DownstreamStats>,
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
        let edge = RespondLayer::new().layer(SanitizeLayer::new().layer(known));
        self.upgrade.layer(StatsLayer::new(self.stats).layer(edge))
    }
}
