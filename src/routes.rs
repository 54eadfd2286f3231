//! From a route configuration to the table that the router looks requests up in.

use std::sync::Arc;
use std::time::Duration;

use front_proxy_layers::cluster::{Cluster, Priority};
use front_proxy_layers::retry::RetryLayer;
use front_proxy_layers::route::{
    Redirector, RequestRewrite, RequireTls, RouteTable, WeightedChoice,
};
use front_proxy_layers::router::{ForwardTarget, RouteEntry};
use front_proxy_layers::stats::DownstreamStats;
use front_proxy_layers::timeout::TimeoutLayer;

use crate::cluster_manager::ClusterManager;
use crate::config::model::{
    self, ConnectionTimeouts, Forward, HttpConnectionManager, RouteAction, Target,
};
use crate::request_path::{RouteService, route_service};

/// Builds the table. What can fail has been checked by the configuration reader: an error here is
/// one that the reader should have found.
pub(crate) fn table(
    config: &HttpConnectionManager,
    clusters: &ClusterManager,
    stats: &Arc<DownstreamStats>,
    buffer_limit: usize,
) -> Result<RouteTable<RouteEntry<RouteService>>, String> {
    let mut builder = RouteTable::builder();
    // Without a router among the filters no request finds a route: Envoy answers 404.
    let hosts = if config.has_router { &config.routes.virtual_hosts[..] } else { &[] };
    for host in hosts {
        let around = Around {
            timeouts: &config.timeouts,
            clusters,
            stats,
            internal_clients: !config.internal_addresses.is_empty(),
            buffer_limit,
            host,
        };
        let routes = host
            .routes
            .iter()
            .map(|route| Ok((route.matching.clone(), entry(route, &around)?)))
            .collect::<Result<Vec<_>, String>>()?;
        builder = builder
            .virtual_host(host.name.clone(), host.domains.clone(), routes)
            .require_tls(match host.require_tls {
                model::RequireTls::None => RequireTls::None,
                model::RequireTls::ExternalOnly => RequireTls::ExternalOnly,
                model::RequireTls::All => RequireTls::All,
            });
    }
    builder.build().map_err(|e| e.to_string())
}

/// The longest time that any route lets pass without anything moving; `None` is for ever.
pub(crate) fn longest_idle_timeout(config: &HttpConnectionManager) -> Option<Duration> {
    let own =
        config.routes.virtual_hosts.iter().flat_map(|host| &host.routes).filter_map(|route| {
            match &route.action {
                RouteAction::Forward(forward) => forward.idle_timeout,
                _ => None,
            }
        });
    own.chain([config.timeouts.stream_idle]).try_fold(Duration::ZERO, |longest, idle| {
        idle.filter(|idle| !idle.is_zero()).map(|idle| longest.max(idle))
    })
}

/// What the routes of a table have around them.
struct Around<'a> {
    timeouts: &'a ConnectionTimeouts,
    clusters: &'a ClusterManager,
    stats: &'a Arc<DownstreamStats>,
    /// Some clients may be internal ones, whose requests may say how they are to be retried.
    internal_clients: bool,
    buffer_limit: usize,
    host: &'a model::VirtualHost,
}

fn entry(route: &model::Route, around: &Around<'_>) -> Result<RouteEntry<RouteService>, String> {
    Ok(match &route.action {
        RouteAction::Forward(forward) => {
            let entry =
                RouteEntry::forward_to(target(forward, around)?).upgrades(forward.upgrades.clone());
            if forward.path_rewrite.is_none() && forward.host_rewrite.is_none() {
                return Ok(entry);
            }
            let rewrite =
                RequestRewrite::new(forward.path_rewrite.clone(), forward.host_rewrite.clone())
                    .map_err(|e| e.to_string())?;
            entry.rewrite(rewrite)
        }
        RouteAction::Redirect(redirect) => {
            RouteEntry::redirect(Redirector::new(redirect.clone()).map_err(|e| e.to_string())?)
        }
        RouteAction::Direct(direct) => RouteEntry::direct(direct.clone()),
    })
}

fn target(forward: &Forward, around: &Around<'_>) -> Result<ForwardTarget<RouteService>, String> {
    match &forward.target {
        Target::Cluster(name) => Ok(single(name, forward, around)),
        Target::Weighted(choices) => {
            let choices = choices.iter().map(|c| (c.weight, single(&c.name, forward, around)));
            let choice = WeightedChoice::new(choices).map_err(|e| e.to_string())?;
            Ok(ForwardTarget::Weighted(choice))
        }
    }
}

fn single(name: &str, forward: &Forward, around: &Around<'_>) -> ForwardTarget<RouteService> {
    let Some((config, cluster)) = around.clusters.with_config(name) else {
        return ForwardTarget::Missing(forward.cluster_not_found);
    };
    let priority = if forward.high_priority { Priority::High } else { Priority::Default };
    let cluster = cluster.clone().with_priority(priority);
    let some = |timeout: Option<Duration>| timeout.filter(|t| *t > Duration::ZERO);
    let timeout = TimeoutLayer::optional(some(forward.timeout))
        .idle(some(forward.idle_timeout.unwrap_or(around.timeouts.stream_idle)))
        .request(some(around.timeouts.request))
        .max_stream_duration(some(around.timeouts.max_stream_duration))
        .max_upstream_stream_duration(some(config.max_stream_duration))
        .stats(Arc::clone(cluster.stats()))
        .downstream_stats(Arc::clone(around.stats));
    ForwardTarget::Single(route_service(&cluster, &timeout, &retry(forward, around, &cluster)))
}

fn retry(forward: &Forward, around: &Around<'_>, cluster: &Cluster) -> RetryLayer {
    let host = around.host;
    let counted = host.request_attempt_count || host.response_attempt_count;
    if forward.retry.is_none() && !around.internal_clients && !counted {
        return RetryLayer::disabled();
    }
    RetryLayer::new(forward.retry.clone().unwrap_or_default())
        .cluster(cluster)
        .client_controls(around.internal_clients)
        .request_attempt_count(host.request_attempt_count)
        .response_attempt_count(host.response_attempt_count)
        .buffer_limit(around.buffer_limit)
}
