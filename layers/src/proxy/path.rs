//! The layers that a proxy is made of, and the types they make.

use std::sync::Arc;

use tower_layer::Layer;

use crate::cluster::{Cluster, UpstreamBody};
use crate::forwarded::{Forwarded, ForwardedLayer, ForwardedPolicy};
use crate::request_id::{self, RequestId, RequestIdLayer};
use crate::respond::{self, Respond, RespondLayer};
use crate::route::RouteTable;
use crate::router::{self, RouteEntry, Router, RouterStats};
use crate::sanitize::{self, Sanitize, SanitizeLayer};
use crate::stats::{self, DownstreamStats, Stats, StatsLayer};
use crate::timeout::{self, Timeout, TimeoutLayer};
use crate::upstream_stats::{self, UpstreamStats, UpstreamStatsLayer};
use crate::upstream_timing::{UpstreamTiming, UpstreamTimingLayer};

/// From a route to its cluster.
pub(super) type RouteService = UpstreamStats<Timeout<UpstreamTiming<Cluster>>>;

/// From the request to its route.
pub(super) type Path = Stats<Respond<Sanitize<Forwarded<RequestId<Router<RouteService>>>>>>;

/// The future of [`Path`].
pub(super) type PathFuture = stats::ResponseFuture<
    respond::ResponseFuture<
        sanitize::ResponseFuture<request_id::ResponseFuture<router::ResponseFuture<RouteService>>>,
    >,
>;

/// The body of its responses.
pub(super) type PathBody = stats::ResponseBody<
    crate::body::ResponseBody<upstream_stats::ResponseBody<timeout::ResponseBody<UpstreamBody>>>,
>;

pub(super) fn route_service(cluster: Cluster, timeout: &TimeoutLayer) -> RouteService {
    let stats = Arc::clone(cluster.stats());
    let timed = timeout.clone().stats(Arc::clone(&stats));
    UpstreamStatsLayer::new(stats).layer(timed.layer(UpstreamTimingLayer::new().layer(cluster)))
}

pub(super) fn path(
    stats: Arc<DownstreamStats>,
    forwarded: ForwardedPolicy,
    request_id: RequestIdLayer,
    routes: RouteTable<RouteEntry<RouteService>>,
) -> Path {
    let router_stats = Arc::new(RouterStats::new(stats.scope()));
    let router = Router::new(Arc::new(routes)).stats(router_stats);
    let filters = ForwardedLayer::new(forwarded).layer(request_id.layer(router));
    let edge = RespondLayer::new().layer(SanitizeLayer::new().layer(filters));
    StatsLayer::new(stats).layer(edge)
}
