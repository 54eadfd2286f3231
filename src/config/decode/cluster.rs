//! Clusters and their endpoints.

use std::time::Duration;

use front_proxy_layers::balance::Maglev;
use front_proxy_layers::cluster::HealthOptions;

use crate::config::decode::bootstrap::locality;
use crate::config::decode::dns::{self, Resolver};
use crate::config::decode::route_action::PRIORITIES;
use crate::config::decode::shared::{HostPort, host_port};
use crate::config::decode::{health, health_check, outlier, tls, upstream_http};
use crate::config::diagnostic::Diagnostic;
use crate::config::message::{Context, Message, Variants};
use crate::config::model::{
    Cluster, Discovery, EndpointSpec, LbPolicy, RingHashOptions, Thresholds, UpstreamProtocol,
    UpstreamTls,
};
use crate::config::schema::cluster::{
    CIRCUIT_BREAKERS, CLUSTER, ENDPOINT, LB_ENDPOINT, LOAD_ASSIGNMENT, LOCALITY_LB_ENDPOINTS,
    MAGLEV, RING_HASH, THRESHOLDS,
};
use crate::config::schema::tls::UPSTREAM_TLS;
use crate::config::yaml::Node;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Static,
    StrictDns,
    LogicalDns,
}

const KINDS: &Variants<Kind> = &[
    ("STATIC", 0, Some(Kind::Static)),
    ("STRICT_DNS", 1, Some(Kind::StrictDns)),
    ("LOGICAL_DNS", 2, Some(Kind::LogicalDns)),
    ("EDS", 3, None),
    ("ORIGINAL_DST", 4, None),
];

const LB_POLICIES: &Variants<LbPolicy> = &[
    ("ROUND_ROBIN", 0, Some(LbPolicy::RoundRobin)),
    ("LEAST_REQUEST", 1, Some(LbPolicy::LeastRequest)),
    ("RING_HASH", 2, Some(LbPolicy::RingHash)),
    ("RANDOM", 3, Some(LbPolicy::Random)),
    ("MAGLEV", 5, Some(LbPolicy::Maglev)),
    ("CLUSTER_PROVIDED", 6, None),
    ("LOAD_BALANCING_POLICY_CONFIG", 7, None),
];

const HASH_FUNCTIONS: &Variants<()> = &[("XX_HASH", 0, Some(())), ("MURMUR_HASH_2", 1, None)];

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn cluster(cx: &Context, node: &Node, resolver: &Resolver) -> Option<Cluster> {
    let m = Message::open(cx, node, &CLUSTER)?;
    let name = m.required_string("name");
    let kind = m.enumeration("type", KINDS).unwrap_or(Kind::Static);
    let mut health = health::options(&m);
    let endpoints = endpoints(&m, kind, &mut health);
    if kind == Kind::LogicalDns && endpoints.len() != 1 {
        m.error(format!(
            "LOGICAL_DNS clusters must have a single endpoint, not {}",
            endpoints.len()
        ));
    }
    let dns = dns::dns(&m, resolver);
    let tls = tls::context(&m, &UPSTREAM_TLS).map(tls::upstream);
    let http = upstream_http::upstream_http(&m);
    check_alpn(&m, &name, http.protocol, tls.as_ref());
    let (breakers, breakers_high) = breakers(&m);
    let out = Cluster {
        name,
        alt_stat_name: m.string("alt_stat_name"),
        discovery: match kind {
            Kind::Static => Discovery::Static,
            Kind::StrictDns => Discovery::StrictDns(dns),
            Kind::LogicalDns => Discovery::LogicalDns(dns),
        },
        lb_policy: m.enumeration("lb_policy", LB_POLICIES).unwrap_or_default(),
        ring_hash: ring_hash(&m),
        maglev_table_size: maglev_table_size(&m),
        endpoints,
        connect_timeout: m.positive_duration("connect_timeout").unwrap_or(DEFAULT_CONNECT_TIMEOUT),
        per_connection_buffer_limit: m.u32("per_connection_buffer_limit_bytes"),
        protocol: http.protocol,
        http1: http.http1,
        http2: http.http2,
        idle_timeout: http.idle_timeout,
        max_connection_duration: http.max_connection_duration,
        max_stream_duration: http.max_stream_duration,
        max_requests_per_connection: http.max_requests_per_connection,
        breakers,
        breakers_high,
        health,
        health_check: health_check::health_check(&m, http.protocol),
        outlier: outlier::outlier_detection(&m),
        tls,
    };
    m.finish();
    Some(out)
}

/// Envoy's largest ring.
const MAX_RING_SIZE: i64 = 8 << 20;

fn ring_hash(m: &Message<'_>) -> RingHashOptions {
    let default = RingHashOptions::default();
    let Some(m) = m.message("ring_hash_lb_config", &RING_HASH) else {
        return default;
    };
    let size = |name| m.u32_in(name, 0..=MAX_RING_SIZE).map(u64::from);
    let out = RingHashOptions {
        minimum_size: size("minimum_ring_size").unwrap_or(default.minimum_size),
        maximum_size: size("maximum_ring_size").unwrap_or(default.maximum_size),
    };
    if out.minimum_size > out.maximum_size {
        let place = m.place_of("minimum_ring_size");
        m.cx.error(place, "`minimum_ring_size` must not be greater than `maximum_ring_size`");
    }
    let _ = m.enumeration("hash_function", HASH_FUNCTIONS);
    m.finish();
    out
}

/// Envoy's largest table, and the size of one that is not given.
const MAX_TABLE_SIZE: i64 = 5_000_011;
const TABLE_SIZE: u64 = 65_537;

fn maglev_table_size(m: &Message<'_>) -> u64 {
    let Some(m) = m.message("maglev_lb_config", &MAGLEV) else {
        return TABLE_SIZE;
    };
    let size = m.u32_in("table_size", 1..=MAX_TABLE_SIZE).map_or(TABLE_SIZE, u64::from);
    if Maglev::with_size(size).is_none() {
        let place = m.place_of("table_size");
        m.cx.error(place, "`table_size` must be a prime number");
    }
    m.finish();
    size
}

fn endpoints(m: &Message<'_>, kind: Kind, health: &mut HealthOptions) -> Vec<EndpointSpec> {
    let mut out = Vec::new();
    let Some(assignment) = m.message("load_assignment", &LOAD_ASSIGNMENT) else {
        return out;
    };
    assignment.required_string("cluster_name");
    for group in assignment.messages("endpoints", &LOCALITY_LB_ENDPOINTS) {
        let locality = locality(&group).unwrap_or_default();
        let priority = group.u32_in("priority", 0..=128).unwrap_or(0);
        for member in group.list("lb_endpoints") {
            if let Some(mut endpoint) = endpoint(m.cx, member, kind) {
                endpoint.locality = locality.clone();
                endpoint.priority = priority;
                out.push(endpoint);
            }
        }
        group.finish();
    }
    health::policy(&assignment, health);
    assignment.finish();
    out
}

fn endpoint(cx: &Context, node: &Node, kind: Kind) -> Option<EndpointSpec> {
    let m = Message::open(cx, node, &LB_ENDPOINT)?;
    let weight = m.u32_in("load_balancing_weight", 1..=i64::from(u32::MAX)).unwrap_or(1);
    let status = m.enumeration("health_status", health::STATUSES).unwrap_or_default();
    m.one_of(&["endpoint"], true);
    let endpoint = m.message("endpoint", &ENDPOINT);
    m.finish();
    let endpoint = endpoint?;
    let address = host_port(&endpoint, "address");
    let hostname = endpoint.string("hostname");
    let checking = health::checking(&endpoint);
    endpoint.finish();
    let address = address?;
    check_host(cx, &address, kind);
    Some(EndpointSpec {
        host: address.host,
        port: address.port,
        weight,
        hostname,
        locality: Default::default(),
        priority: 0,
        status,
        checking,
    })
}

/// STATIC clusters have addresses; only DNS clusters resolve names.
fn check_host(cx: &Context, address: &HostPort<'_>, kind: Kind) {
    if kind == Kind::Static && address.ip().is_none() {
        cx.report(
            Diagnostic::new(address.place, format!("malformed IP address: {}", address.host))
                .help("a STATIC cluster needs IP addresses; for names set its `type` to STRICT_DNS or LOGICAL_DNS"),
        );
    }
}

/// Only TLS can agree on a protocol.
fn check_alpn(m: &Message<'_>, name: &str, protocol: UpstreamProtocol, tls: Option<&UpstreamTls>) {
    if protocol == UpstreamProtocol::Auto && tls.is_none() && !m.has("transport_socket") {
        m.cx.report(
            Diagnostic::new(
                m.entry("typed_extension_protocol_options").map_or(m.span(), |e| &e.place),
                format!("`auto_config` agrees on the protocol by ALPN, but cluster '{name}' has no TLS"),
            )
            .help("add a `transport_socket` with an UpstreamTlsContext, or use `explicit_http_config`"),
        );
    }
}

/// The limits of the default and of the high priority.
fn breakers(m: &Message<'_>) -> (Thresholds, Thresholds) {
    let (mut normal, mut high) = (None, None);
    if let Some(breakers) = m.message("circuit_breakers", &CIRCUIT_BREAKERS) {
        for t in breakers.messages("thresholds", &THRESHOLDS) {
            let is_high = t.enumeration("priority", PRIORITIES).unwrap_or(false);
            let slot = if is_high { &mut high } else { &mut normal };
            let default = Thresholds::default();
            let read = Thresholds {
                max_connections: t.u32("max_connections").unwrap_or(default.max_connections),
                max_pending_requests: t
                    .u32("max_pending_requests")
                    .unwrap_or(default.max_pending_requests),
                max_requests: t.u32("max_requests").unwrap_or(default.max_requests),
                max_retries: t.u32("max_retries").unwrap_or(default.max_retries),
                track_remaining: t.bool("track_remaining"),
            };
            if slot.replace(read).is_some() {
                // Envoy would take the first and leave the second out without a word.
                t.error("there are two thresholds for one priority");
            }
            t.finish();
        }
        breakers.finish();
    }
    (normal.unwrap_or_default(), high.unwrap_or_default())
}
