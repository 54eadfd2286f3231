//! From a listener's configuration to its filter chains.

use std::net::IpAddr;
use std::sync::Arc;

use front_proxy_layers::forwarded::ForwardedPolicy;
use front_proxy_layers::request_id::RequestIdLayer;
use front_proxy_layers::router::{Router, RouterStats};
use front_proxy_layers::sanitize::SanitizeLayer;
use front_proxy_layers::server_header::{ServerHeaderLayer, Transformation};
use front_proxy_layers::stats::{DownstreamStats, ListenerCodes, Scope};
use http::HeaderValue;

use super::FilterChain;
use crate::cluster_manager::ClusterManager;
use crate::config::model::{self, ServerHeader};
use crate::request_path::{Http2Stats, HttpFilters};
use crate::routes;

/// Builds what serves the connections of a listener. `listener_scope` is `listener.<address>`.
pub(crate) fn filter_chains(
    config: &model::Listener,
    clusters: &ClusterManager,
    root: &Scope,
    listener_scope: &Scope,
) -> Result<Vec<Arc<FilterChain>>, String> {
    config
        .filter_chains
        .iter()
        .map(|chain| {
            let tls = chain.tls.as_ref().map(crate::tls::downstream).transpose()?;
            Ok(Arc::new(FilterChain {
                server_names: chain.server_names.clone(),
                tls: tls.map(Into::into),
                http: Arc::clone(&chain.http),
                gate: Arc::new(crate::connection::gate_config(&chain.http)),
                filters: filters(&chain.http, clusters, root, listener_scope)?,
            }))
        })
        .collect()
}

fn filters(
    config: &model::HttpConnectionManager,
    clusters: &ClusterManager,
    root: &Scope,
    listener_scope: &Scope,
) -> Result<HttpFilters, String> {
    let stats = Arc::new(DownstreamStats::new(root, &config.stat_prefix));
    let router_stats = Arc::new(RouterStats::new(stats.scope()));
    let table = Arc::new(routes::table(config, clusters)?);
    let server = HeaderValue::from_str(&config.server_name).map_err(|e| e.to_string())?;
    Ok(HttpFilters {
        http2: Http2Stats::new(root),
        listener_codes: Arc::new(ListenerCodes::new(listener_scope, &config.stat_prefix)),
        server_header: ServerHeaderLayer::new(server).transformation(match config.server_header {
            ServerHeader::Overwrite => Transformation::Overwrite,
            ServerHeader::AppendIfAbsent => Transformation::AppendIfAbsent,
            ServerHeader::PassThrough => Transformation::PassThrough,
        }),
        sanitize: SanitizeLayer::new().upgrades(config.upgrades.clone()),
        forwarded: Arc::new(ForwardedPolicy {
            use_remote_address: config.use_remote_address,
            xff_num_trusted_hops: config.xff_num_trusted_hops,
            skip_xff_append: config.skip_xff_append,
            internal_addresses: config.internal_addresses.clone(),
            ipv4_as_mapped_ipv6: config.ipv4_as_mapped_ipv6,
            preserve_external_request_id: config.preserve_external_request_id,
            local_address: local_address(),
        }),
        request_id: RequestIdLayer::new().generate(config.generate_request_id),
        router: Router::new(table).stats(router_stats),
        stats,
    })
}

/// This machine's own address: what a connected UDP socket would send from. Nothing is sent.
fn local_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    // TEST-NET-3 (RFC 5737): any address that is not this machine's will do.
    socket.connect(("203.0.113.1", 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}
