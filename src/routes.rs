//! From a route configuration to the table that the router looks requests up in.

use std::time::Duration;

use front_proxy_layers::cluster::{Cluster, Priority};
use front_proxy_layers::retry::RetryLayer;
use front_proxy_layers::route::{
    Redirector, RequestRewrite, RequireTls, RouteTable, WeightedChoice,
};
use front_proxy_layers::router::{ForwardTarget, RouteEntry};
use front_proxy_layers::timeout::TimeoutLayer;

use crate::cluster_manager::ClusterManager;
use crate::config::model::{self, Forward, HttpConnectionManager, RouteAction, Target};
use crate::request_path::{RouteService, route_service};

/// What the routes of a table share.
struct Shared<'c> {
    clusters: &'c ClusterManager,
    /// Some clients may be internal ones, whose requests may say how they are to be retried.
    internal_clients: bool,
    buffer_limit: usize,
}

/// Builds the table. What can fail has been checked by the configuration reader: an error here is
/// one that the reader should have found.
pub(crate) fn table(
    config: &HttpConnectionManager,
    clusters: &ClusterManager,
    buffer_limit: usize,
) -> Result<RouteTable<RouteEntry<RouteService>>, String> {
    let internal_clients = !config.internal_addresses.is_empty();
    let shared = Shared { clusters, internal_clients, buffer_limit };
    let mut builder = RouteTable::builder();
    // Without a router among the filters no request finds a route: Envoy answers 404.
    let hosts = if config.has_router { &config.routes.virtual_hosts[..] } else { &[] };
    for host in hosts {
        let routes = host
            .routes
            .iter()
            .map(|route| Ok((route.matching.clone(), entry(route, host, &shared)?)))
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

fn entry(
    route: &model::Route,
    host: &model::VirtualHost,
    shared: &Shared<'_>,
) -> Result<RouteEntry<RouteService>, String> {
    Ok(match &route.action {
        RouteAction::Forward(forward) => {
            let entry = RouteEntry::forward_to(target(forward, host, shared)?);
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

fn target(
    forward: &Forward,
    host: &model::VirtualHost,
    shared: &Shared<'_>,
) -> Result<ForwardTarget<RouteService>, String> {
    match &forward.target {
        Target::Cluster(name) => Ok(single(name, forward, host, shared)),
        Target::Weighted(choices) => {
            let choices = choices.iter().map(|c| (c.weight, single(&c.name, forward, host, shared)));
            let choice = WeightedChoice::new(choices).map_err(|e| e.to_string())?;
            Ok(ForwardTarget::Weighted(choice))
        }
    }
}

fn single(
    name: &str,
    forward: &Forward,
    host: &model::VirtualHost,
    shared: &Shared<'_>,
) -> ForwardTarget<RouteService> {
    let Some(cluster) = shared.clusters.get(name) else {
        return ForwardTarget::Missing(forward.cluster_not_found);
    };
    let priority = if forward.high_priority { Priority::High } else { Priority::Default };
    let cluster = cluster.clone().with_priority(priority);
    let timeout = TimeoutLayer::optional(forward.timeout.filter(|t| *t > Duration::ZERO))
        .stats(cluster.stats().clone());
    let retry = retry(forward, host, shared, &cluster);
    ForwardTarget::Single(route_service(&cluster, &timeout, &retry))
}

fn retry(
    forward: &Forward,
    host: &model::VirtualHost,
    shared: &Shared<'_>,
    cluster: &Cluster,
) -> RetryLayer {
    let counted = host.request_attempt_count || host.response_attempt_count;
    if forward.retry.is_none() && !shared.internal_clients && !counted {
        return RetryLayer::disabled();
    }
    RetryLayer::new(forward.retry.clone().unwrap_or_default())
        .cluster(cluster)
        .client_controls(shared.internal_clients)
        .request_attempt_count(host.request_attempt_count)
        .response_attempt_count(host.response_attempt_count)
        .buffer_limit(shared.buffer_limit)
}
