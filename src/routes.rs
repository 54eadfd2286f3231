//! From a route configuration to the table that the router looks requests up in.

use std::time::Duration;

use front_proxy_layers::route::{
    Redirector, RequestRewrite, RequireTls, RouteTable, WeightedChoice,
};
use front_proxy_layers::router::{ForwardTarget, RouteEntry};
use front_proxy_layers::timeout::TimeoutLayer;

use crate::cluster_manager::ClusterManager;
use crate::config::model::{self, Forward, HttpConnectionManager, RouteAction, Target};
use crate::request_path::{RouteService, route_service};

/// Builds the table. What can fail has been checked by the configuration reader: an error here is
/// one that the reader should have found.
pub(crate) fn table(
    config: &HttpConnectionManager,
    clusters: &ClusterManager,
) -> Result<RouteTable<RouteEntry<RouteService>>, String> {
    let mut builder = RouteTable::builder();
    // Without a router among the filters no request finds a route: Envoy answers 404.
    let hosts = if config.has_router { &config.routes.virtual_hosts[..] } else { &[] };
    for host in hosts {
        let routes = host
            .routes
            .iter()
            .map(|route| Ok((route.matching.clone(), entry(route, clusters)?)))
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
    clusters: &ClusterManager,
) -> Result<RouteEntry<RouteService>, String> {
    Ok(match &route.action {
        RouteAction::Forward(forward) => {
            let entry = RouteEntry::forward_to(target(forward, clusters)?);
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
    clusters: &ClusterManager,
) -> Result<ForwardTarget<RouteService>, String> {
    match &forward.target {
        Target::Cluster(name) => Ok(single(name, forward, clusters)),
        Target::Weighted(choices) => {
            let choices = choices.iter().map(|c| (c.weight, single(&c.name, forward, clusters)));
            let choice = WeightedChoice::new(choices).map_err(|e| e.to_string())?;
            Ok(ForwardTarget::Weighted(choice))
        }
    }
}

fn single(name: &str, forward: &Forward, clusters: &ClusterManager) -> ForwardTarget<RouteService> {
    match clusters.get(name) {
        None => ForwardTarget::Missing(forward.cluster_not_found),
        Some(cluster) => {
            let timeout = TimeoutLayer::optional(forward.timeout.filter(|t| *t > Duration::ZERO))
                .stats(cluster.stats().clone());
            ForwardTarget::Single(route_service(cluster, &timeout))
        }
    }
}
