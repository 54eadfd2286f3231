//! From a route configuration to the table that the router looks requests up in.

use std::sync::Arc;
use std::time::Duration;

use front_proxy_layers::cluster::Priority;
use front_proxy_layers::hash_policy::HashPolicyLayer;
use front_proxy_layers::header_edit::{HeaderEditor, Levels};
use front_proxy_layers::http_connection_manager::{RouteLayer, RouteService};
use front_proxy_layers::retry::RetryLayer;
use front_proxy_layers::route::rewrite::HostOptions;
use front_proxy_layers::route::{
    HashPolicy, HeaderEdits, Redirector, RequestRewrite, RouteTable, WeightedChoice,
};
use front_proxy_layers::router::{Destination, ForwardTarget, RouteEntry};
use front_proxy_layers::runtime::RuntimeU32;
use front_proxy_layers::stats::DownstreamStats;
use front_proxy_layers::timeout::TimeoutLayer;
use http::HeaderName;
use tower::Layer;

use crate::cluster_manager::ClusterManager;
use crate::config::model::{
    self, ConnectionTimeouts, Forward, HttpConnectionManager, LbPolicy, RouteAction, Target,
};
use crate::http_filters::{ChainBuilder, ChainFor};

/// Builds the table. What can fail has been checked by the configuration reader: an error here is
/// one that the reader should have found.
pub(crate) fn table(
    config: &HttpConnectionManager,
    clusters: &ClusterManager,
    stats: &Arc<DownstreamStats>,
    buffer_limit: usize,
    chains: &mut ChainBuilder<'_>,
) -> Result<RouteTable<RouteEntry<RouteService>>, String> {
    let mut builder = RouteTable::builder();
    // Without a router among the filters no request finds a route: Envoy answers 404.
    let hosts = if config.has_router { &config.routes.virtual_hosts[..] } else { &[] };
    for host in hosts {
        let around = Around {
            table: &config.routes,
            envoy_headers: !config.suppress_envoy_headers,
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
            .map(|route| Ok((route.matching.clone(), entry(route, &around, chains)?)))
            .collect::<Result<Vec<_>, String>>()?;
        builder = builder
            .virtual_host(host.name.clone(), host.domains.clone(), routes)
            .require_tls(host.require_tls);
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

/// Whether a route hashes the client's address, or makes a cookie of it.
pub(crate) fn ask_for_client(config: &HttpConnectionManager) -> bool {
    let routes = config.routes.virtual_hosts.iter().flat_map(|host| &host.routes);
    routes.into_iter().any(|route| match &route.action {
        RouteAction::Forward(forward) => forward.hash_policy.iter().any(|policy| {
            matches!(policy, HashPolicy::SourceIp { .. } | HashPolicy::Cookie { ttl: Some(_), .. })
        }),
        RouteAction::Redirect(_) | RouteAction::Direct(_) => false,
    })
}

/// What the routes of a table have around them.
struct Around<'a> {
    table: &'a model::RouteTable,
    /// Envoy's own headers are wanted.
    envoy_headers: bool,
    timeouts: &'a ConnectionTimeouts,
    clusters: &'a ClusterManager,
    stats: &'a Arc<DownstreamStats>,
    /// Some clients may be internal ones, whose requests may say how they are to be retried.
    internal_clients: bool,
    buffer_limit: usize,
    host: &'a model::VirtualHost,
}

fn entry(
    route: &model::Route,
    around: &Around<'_>,
    chains: &mut ChainBuilder<'_>,
) -> Result<RouteEntry<RouteService>, String> {
    let edits = editor(route, None, around)?;
    let entry = match &route.action {
        RouteAction::Forward(forward) => {
            let entry = RouteEntry::forward_to(target(route, forward, around, &edits, chains)?)
                .upgrades(forward.upgrades.clone());
            match rewrite(forward, around)? {
                Some(rewrite) => entry.rewrite(rewrite),
                None => entry,
            }
        }
        RouteAction::Redirect(redirect) => {
            RouteEntry::redirect(Redirector::new(redirect.clone()).map_err(|e| e.to_string())?)
        }
        RouteAction::Direct(direct) => RouteEntry::direct(direct.clone()),
    };
    let entry = entry.headers(edits).filters(chains.chain(&chain_for(route, None, around))?);
    Ok(if route.name.is_empty() { entry } else { entry.named(route.name.as_str()) })
}

/// What decides the filters of a route, or of one of its weighted clusters.
fn chain_for<'a>(
    route: &'a model::Route,
    weighted: Option<&'a model::WeightedCluster>,
    around: &Around<'a>,
) -> ChainFor<'a> {
    let of_cluster = weighted.map_or(&[][..], |weighted| &weighted.filters);
    let levels = [of_cluster, &route.filters, &around.host.filters, &around.table.filters];
    let forward = match &route.action {
        RouteAction::Forward(forward) => Some(forward),
        RouteAction::Redirect(_) | RouteAction::Direct(_) => None,
    };
    let cluster = forward.map(|forward| match (weighted, &forward.target) {
        (Some(weighted), _) => weighted.name.as_str(),
        (None, Target::Cluster(name)) => name,
        (None, Target::Weighted(_)) => "",
    });
    let own_idle = forward.and_then(|forward| forward.idle_timeout);
    ChainFor {
        levels,
        cluster,
        cors: [forward.and_then(|forward| forward.cors.as_ref()), around.host.cors.as_ref()],
        idle_timeout: own_idle.unwrap_or(around.timeouts.stream_idle),
    }
}

fn rewrite(forward: &Forward, around: &Around<'_>) -> Result<Option<RequestRewrite>, String> {
    if forward.path_rewrite.is_none() && forward.host_rewrite.is_none() {
        return Ok(None);
    }
    let options = HostOptions {
        keep_original: around.envoy_headers,
        append_x_forwarded_host: forward.append_x_forwarded_host,
    };
    RequestRewrite::new(forward.path_rewrite.clone(), forward.host_rewrite.clone())
        .map(|rewrite| Some(rewrite.options(options)))
        .map_err(|e| e.to_string())
}

/// The header edits that concern a route, or those of one of its weighted clusters.
fn editor(
    route: &model::Route,
    weighted_cluster: Option<&HeaderEdits>,
    around: &Around<'_>,
) -> Result<HeaderEditor, String> {
    HeaderEditor::compile(Levels {
        weighted_cluster,
        route: Some(&route.headers),
        virtual_host: Some(&around.host.headers),
        table: Some(&around.table.headers),
        most_specific_wins: around.table.most_specific_wins,
    })
    .map_err(|e| e.to_string())
}

/// `edits` are those of the route.
fn target(
    route: &model::Route,
    forward: &Forward,
    around: &Around<'_>,
    edits: &HeaderEditor,
    chains: &mut ChainBuilder<'_>,
) -> Result<ForwardTarget<RouteService>, String> {
    let choices = match &forward.target {
        Target::Cluster(name) => {
            return Ok(match destination(name, forward, around, edits) {
                Some(destination) => ForwardTarget::Single(destination),
                None => ForwardTarget::Missing(forward.cluster_not_found),
            });
        }
        Target::Weighted(choices) => choices,
    };
    let follows = choices.iter().any(|choice| choice.runtime_key.is_some());
    let choices = choices
        .iter()
        .map(|choice| {
            let editor = editor(route, Some(&choice.headers), around)?;
            let target = match destination(&choice.name, forward, around, &editor) {
                Some(destination) => {
                    let chain = chains.chain(&chain_for(route, Some(choice), around))?;
                    ForwardTarget::Single(destination.headers(editor).filters(chain))
                }
                None => ForwardTarget::Missing(forward.cluster_not_found),
            };
            let weight = match &choice.runtime_key {
                Some(key) => RuntimeU32::following(choice.weight, key.clone()),
                None => choice.weight.into(),
            };
            Ok((weight, target))
        })
        .collect::<Result<Vec<_>, String>>()?;
    if follows {
        return Ok(ForwardTarget::Weighted(WeightedChoice::following(choices)));
    }
    let choices = choices.into_iter().map(|(weight, target)| (weight.get(), target));
    WeightedChoice::new(choices).map(ForwardTarget::Weighted).map_err(|e| e.to_string())
}

/// `None` where there is no such cluster.
fn destination(
    name: &str,
    forward: &Forward,
    around: &Around<'_>,
    editor: &HeaderEditor,
) -> Option<Destination<RouteService>> {
    let (config, cluster) = around.clusters.with_config(name)?;
    let priority = if forward.high_priority { Priority::High } else { Priority::Default };
    let cluster = cluster.clone().with_priority(priority);
    let some = |timeout: Option<Duration>| timeout.filter(|t| *t > Duration::ZERO);
    let announce = around.envoy_headers && !editor.removes_from_requests(&EXPECTED_TIMEOUT);
    let timeout = TimeoutLayer::optional(some(forward.timeout))
        .announce(announce)
        .idle(some(forward.idle_timeout.unwrap_or(around.timeouts.stream_idle)))
        .request(some(around.timeouts.request))
        .max_stream_duration(some(around.timeouts.max_stream_duration))
        .max_upstream_stream_duration(some(config.max_stream_duration))
        .downstream_stats(Arc::clone(around.stats));
    // As in Envoy: what does not balance by the hash gives no cookies for it either.
    let hashes = matches!(config.lb_policy, LbPolicy::RingHash | LbPolicy::Maglev);
    let policies = if hashes { forward.hash_policy.clone() } else { Vec::new() };
    let names = cluster.names().clone();
    let count_is_removed = editor.removes_from_requests(&ATTEMPT_COUNT);
    let service = RouteLayer::new()
        .timeout(timeout)
        .hash_policy(HashPolicyLayer::new(policies))
        .retry(retry(forward, around, count_is_removed).announce(announce))
        .envoy_headers(around.envoy_headers)
        .layer(cluster);
    Some(Destination::new(service).cluster(names))
}

/// Made by the timeout, after the edits; in Envoy before them.
const EXPECTED_TIMEOUT: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");

/// Made with each try, after the edits; the first one's in Envoy before them.
const ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");

fn retry(forward: &Forward, around: &Around<'_>, count_is_removed: bool) -> RetryLayer {
    let host = around.host;
    let request_attempt_count = host.request_attempt_count && !count_is_removed;
    let counted = request_attempt_count || host.response_attempt_count;
    if forward.retry.is_none() && !around.internal_clients && !counted {
        return RetryLayer::disabled();
    }
    RetryLayer::new(forward.retry.clone().unwrap_or_default())
        .client_controls(around.internal_clients)
        .request_attempt_count(request_attempt_count)
        .response_attempt_count(host.response_attempt_count)
        .buffer_limit(around.buffer_limit)
}
