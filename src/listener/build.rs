//! From a listener's configuration to its filter chains.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use front_proxy_layers::forwarded::ForwardedPolicy;
use front_proxy_layers::http_connection_manager::HttpConnectionManager;
use front_proxy_layers::request_id::RequestIdLayer;
use front_proxy_layers::respond::RespondLayer;
use front_proxy_layers::sanitize::{HostRules, PathNormalizer, SanitizeLayer};
use front_proxy_layers::server_header::ServerHeaderLayer;
use front_proxy_layers::stats::{DownstreamStats, ListenerCodes, Scope, SslStats};
use front_proxy_layers::upgrade::UpgradeLayer;
use http::HeaderValue;

use super::FilterChain;
use crate::access_log::{LogFiles, access_logs};
use crate::cluster_manager::ClusterManager;
use crate::config::model;
use crate::connection::{Http1Stats, Http2Stats};
use crate::http_filters::{self, ChainBuilder};
use crate::routes;
use crate::stats::absent;
use crate::tls::Downstream;

/// What the connection managers of a process have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) clusters: &'a ClusterManager,
    pub(crate) node: &'a model::Node,
    /// `None` where a configuration is only checked.
    pub(crate) logs: Option<&'a LogFiles>,
    /// The root of all stats.
    pub(crate) stats: &'a Scope,
    /// Whether the connections are ours, and counted.
    pub(crate) accepts: bool,
    /// Whether the process was told to fail health checks.
    pub(crate) failing: &'a Arc<AtomicBool>,
}

/// Builds what serves the connections of a listener that is bound to `port`. `listener_scope` is
/// `listener.<address>`, `ssl` what is counted of its handshakes.
pub(crate) fn filter_chains(
    config: &model::Listener,
    port: u16,
    around: Surroundings<'_>,
    listener_scope: &Scope,
    ssl: Option<&Arc<SslStats>>,
) -> Result<Vec<Arc<FilterChain>>, String> {
    let chain =
        |chain| filter_chain(config, chain, port, around, listener_scope, ssl).map(Arc::new);
    config.filter_chains.iter().map(chain).collect()
}

fn filter_chain(
    listener: &model::Listener,
    chain: &model::FilterChain,
    port: u16,
    around: Surroundings<'_>,
    listener_scope: &Scope,
    ssl: Option<&Arc<SslStats>>,
) -> Result<FilterChain, String> {
    let model::FilterChain { name, server_names, tls, http } = chain;
    let tls = tls.as_ref().map(|tls| Downstream::new(tls, ssl.map(Arc::clone))).transpose()?;
    let stats = match around.accepts {
        true => DownstreamStats::new(around.stats, &http.stat_prefix),
        false => DownstreamStats::of_requests(around.stats, &http.stat_prefix),
    };
    let stats = Arc::new(stats);
    let listener_codes = Arc::new(ListenerCodes::new(listener_scope, &http.stat_prefix));
    let access_logs = access_logs(&http.access_logs, around.logs)?;
    let manager = connection_manager(listener, http, port, around, &stats)?
        .listener_codes(Arc::clone(&listener_codes))
        .access_logs(Arc::clone(&access_logs));
    Ok(FilterChain {
        name: (!name.is_empty()).then(|| name.as_str().into()),
        server_names: server_names.clone(),
        gate: Arc::new(crate::connection::gate_config(http, tls.is_some(), server_header(http)?)),
        tls: tls.map(Arc::new),
        http: Arc::clone(http),
        manager,
        access_logs,
        stats,
        listener_codes,
        http1_stats: Http1Stats::new(around.stats),
        http2_stats: Http2Stats::new(around.stats),
        stall_timeout: routes::longest_idle_timeout(http),
    })
}

fn connection_manager(
    listener: &model::Listener,
    config: &model::HttpConnectionManager,
    port: u16,
    around: Surroundings<'_>,
    stats: &Arc<DownstreamStats>,
) -> Result<HttpConnectionManager, String> {
    absent::connection_manager(stats.scope());
    let buffer_limit = listener.per_connection_buffer_limit;
    let process = http_filters::Surroundings {
        clusters: around.clusters,
        stats: around.stats,
        failing: around.failing,
        service_cluster: &around.node.cluster,
    };
    let mut chains = ChainBuilder::new(config, process, stats)?;
    let table = routes::table(config, around.clusters, stats, buffer_limit, &mut chains)?;
    let request_id = RequestIdLayer::new()
        .generate(config.generate_request_id)
        .respond(config.always_set_request_id_in_response);
    Ok(HttpConnectionManager::new(Arc::clone(stats), table, chains.build()?)
        .envoy_headers(!config.suppress_envoy_headers)
        .upgrade(UpgradeLayer::new().rules(config.upgrades.clone()).routes_decide())
        .server_header(server_header(config)?)
        .respond(RespondLayer::new().keep_connection(config.keep_connection_on_bad_message))
        .sanitize(sanitize(config, port)?.stats(Arc::clone(stats)))
        .forwarded(forwarded(config, around.node)?)
        .share_client(routes::ask_for_client(config))
        .request_id(request_id))
}

/// Where a listener's own stats are. A port given as 0 is not known to whoever reads the
/// configuration: the real `address` is.
pub(crate) fn stats_scope(config: &model::Listener, address: SocketAddr, root: &Scope) -> Scope {
    let name = match &config.stat_prefix {
        Some(prefix) => prefix.clone(),
        None => address.to_string().replace(':', "_"),
    };
    root.child("listener").tagged("envoy_listener_address", &name)
}

fn server_header(config: &model::HttpConnectionManager) -> Result<ServerHeaderLayer, String> {
    let via = config.via.as_deref().map(header_value).transpose()?;
    let layer = ServerHeaderLayer::new(header_value(&config.server_name)?).via(via);
    Ok(layer.transformation(config.server_header))
}

fn sanitize(config: &model::HttpConnectionManager, port: u16) -> Result<SanitizeLayer, String> {
    let default_host = config.http1.default_host_for_http_10.as_deref();
    let host = HostRules {
        strip_port: config.strip_host_port,
        strip_trailing_dot: config.strip_trailing_host_dot,
        default_host: default_host.map(header_value).transpose()?,
    };
    let path = PathNormalizer {
        normalize: config.normalize_path,
        merge_slashes: config.merge_slashes,
        escaped_slashes: config.escaped_slashes,
    };
    let layer = SanitizeLayer::new().host(host).path(path);
    Ok(layer.absolute_form(config.http1.allow_absolute_url).local_port(Some(port)))
}

fn forwarded(
    config: &model::HttpConnectionManager,
    node: &model::Node,
) -> Result<ForwardedPolicy, String> {
    let announced = |text: &str| config.add_user_agent.then(|| header_value(text)).transpose();
    Ok(ForwardedPolicy {
        use_remote_address: config.use_remote_address,
        xff_num_trusted_hops: config.xff_num_trusted_hops,
        skip_xff_append: config.skip_xff_append,
        internal_addresses: config.internal_addresses.clone(),
        ipv4_as_mapped_ipv6: config.ipv4_as_mapped_ipv6,
        preserve_external_request_id: config.preserve_external_request_id,
        local_address: local_address(),
        client_cert: config.forward_client_cert,
        service_cluster: announced(&node.cluster)?,
        service_node: if node.id.is_empty() { None } else { announced(&node.id)? },
        via: config.via.as_deref().map(header_value).transpose()?,
    })
}

fn header_value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|error| format!("`{text}`: {error}"))
}

/// This machine's own address: what a connected UDP socket would send from. Nothing is sent.
fn local_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    // TEST-NET-3 (RFC 5737): any address that is not this machine's will do.
    socket.connect(("203.0.113.1", 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}
