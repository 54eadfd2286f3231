//! The layers in their order, and the types that they make. Nothing else names these.

use std::sync::Arc;

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::{Connection, HttpConnectionManager, RouteBody, RouteLayer, RouteService};
#[cfg(feature = "access-log")]
use crate::access_log::{self, AccessLogLayer};
use crate::body::{Body, ResponseBody};
use crate::cluster::{Cluster, UpstreamBody};
use crate::filters::Filtered;
use crate::forwarded::{Forwarded, ForwardedLayer};
use crate::hash_policy::Hashing;
use crate::request_id::RequestId;
use crate::respond::Respond;
#[cfg(feature = "retry")]
use crate::retry;
use crate::sanitize::Sanitize;
use crate::server_header::ServerHeader;
use crate::stats::{self, Stats, StatsLayer};
use crate::stream_info::Observer;
use crate::timeout::{self, Timeout};
use crate::upgrade::{self, Upgrade};
use crate::upstream_stats::{self, UpstreamStats, UpstreamStatsLayer};
use crate::upstream_timing::{UpstreamTiming, UpstreamTimingLayer};

/// From a connection to the router.
pub(super) type Managed =
    Upgrade<Stats<Logged<ServerHeader<Respond<Sanitize<Forwarded<RequestId<Filters>>>>>>>>;

/// The HTTP filters, and the last of them.
pub(super) type Filters = Filtered<RouteService, RouteBody>;

pub(super) type ManagedFuture = <Managed as Service<Request<Body>>>::Future;

pub(super) type ManagedBody =
    upgrade::ResponseBody<stats::ResponseBody<LoggedBody<ResponseBody<RouteBody>>>>;

/// From a route to its cluster.
pub(super) type Routed = UpstreamStats<Timeout<Hashing<UpstreamTiming<Tried<Cluster>>>>>;

pub(super) type RoutedFuture = <Routed as Service<Request<Body>>>::Future;

pub(super) type RoutedBody =
    upstream_stats::ResponseBody<timeout::ResponseBody<TriedBody<UpstreamBody>>>;

// What a feature adds is in the chain with it only.
#[cfg(feature = "access-log")]
type Logged<S> = access_log::AccessLog<S>;
#[cfg(feature = "access-log")]
type LoggedBody<B> = access_log::ResponseBody<B>;
#[cfg(not(feature = "access-log"))]
type Logged<S> = S;
#[cfg(not(feature = "access-log"))]
type LoggedBody<B> = B;

#[cfg(feature = "retry")]
type Tried<S> = retry::Retry<S>;
#[cfg(feature = "retry")]
type TriedBody<B> = retry::ResponseBody<B>;
#[cfg(not(feature = "retry"))]
type Tried<S> = S;
#[cfg(not(feature = "retry"))]
type TriedBody<B> = B;

impl HttpConnectionManager {
    /// From the inside out: what is put around last meets a request first.
    pub(super) fn chain(&self, connection: Connection) -> Managed {
        let tls = connection.peer.is_some_and(|peer| peer.tls);
        let observer = match (&connection.downstream, connection.peer) {
            (Some(downstream), Some(peer)) if self.observed => Some(Arc::new(Observer {
                connection: Arc::clone(downstream),
                policy: Arc::clone(&self.forwarded),
                peer,
            })),
            _ => None,
        };
        // Finds the route first: it says which filters a request passes on its way to it.
        let service = self.filters.clone().observer(observer);
        let service = self.request_id.layer(service);
        // Decides what of the client's word counts; takes an untrusted request id away.
        let service = ForwardedLayer::new(Arc::clone(&self.forwarded))
            .peer(connection.peer)
            .certificate(connection.certificate.clone())
            .share_client(self.share_client)
            .layer(service);
        // Before anything looks at a header that must not be believed or passed on.
        let service = self.sanitize.clone().tls(tls).layer(service);
        // Errors end here: further out there are only responses.
        let service = self.respond.clone().stats(Arc::clone(&self.stats)).layer(service);
        // On every answer, also those that the proxy makes itself.
        let service = self.server_header.layer(service);
        // Sees answers as they go out; requests that nobody logs pass through.
        let service = self.log(connection, service);
        // Counts every request once, and its response to the last byte.
        let service = self.count().layer(service);
        // Outermost: inside a tunnel is a request and a response like any other.
        self.upgrade.layer(service)
    }

    #[cfg(feature = "access-log")]
    fn log<S>(&self, connection: Connection, service: S) -> Logged<S> {
        if self.access_logs.is_empty() {
            return AccessLogLayer::off().layer(service);
        }
        let logs = Arc::clone(&self.access_logs);
        let downstream = connection.downstream.unwrap_or_default();
        AccessLogLayer::for_connection(logs, downstream, connection.fault).layer(service)
    }

    #[cfg(not(feature = "access-log"))]
    fn log<S>(&self, _: Connection, service: S) -> Logged<S> {
        service
    }

    fn count(&self) -> StatsLayer {
        let layer = StatsLayer::new(Arc::clone(&self.stats));
        match &self.listener_codes {
            Some(codes) => layer.listener(Arc::clone(codes)),
            None => layer,
        }
    }
}

impl RouteLayer {
    /// From the inside out: what is put around last meets a request first.
    pub(super) fn chain(&self, cluster: Cluster) -> Routed {
        let stats = Arc::clone(cluster.stats());
        // Innermost: each try is a request of its own to the cluster.
        let service = self.retried(cluster);
        // Until the answer that counts: Envoy's time includes the tries before it.
        let service = UpstreamTimingLayer::new().silent(!self.envoy_headers).layer(service);
        // Once for all tries; a cookie is given with the answer of an upstream only.
        let service = self.hash_policy.layer(service);
        // Around all tries together.
        let service = self.timeout.clone().stats(Arc::clone(&stats)).layer(service);
        // Outside timeouts: what counts for the cluster is what the client got in its name.
        UpstreamStatsLayer::new(stats).layer(service)
    }

    #[cfg(feature = "retry")]
    fn retried(&self, cluster: Cluster) -> Tried<Cluster> {
        self.retry.clone().cluster(&cluster).layer(cluster)
    }

    #[cfg(not(feature = "retry"))]
    fn retried(&self, cluster: Cluster) -> Tried<Cluster> {
        cluster
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is called or answered is moved through all layers: once each in, and once each out.
    #[test]
    fn what_is_moved_is_small() {
        let sizes = [size_of::<RoutedFuture>(), size_of::<ManagedFuture>()];
        assert!(sizes[0] <= 440 && sizes[1] <= 640, "{sizes:?}");
        let sizes = [size_of::<RoutedBody>(), size_of::<ManagedBody>()];
        assert!(sizes[0] <= 288 && sizes[1] <= 360, "{sizes:?}");
    }
}
