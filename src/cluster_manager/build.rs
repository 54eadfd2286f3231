//! From a cluster's configuration to the cluster.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use front_proxy_layers::balance::{
    LeastRequest, LoadBalancer, Maglev, Random, RingHash, RoundRobin,
};
use front_proxy_layers::cluster::{Cluster, HealthOptions, Limits, Priority};
use front_proxy_layers::discover::dns::{
    DnsResolver, DnsResolverOptions, FirstResolution, LogicalDns, Refresh, Settings, StrictDns,
    Target,
};
use front_proxy_layers::discover::{Locality, Member, MemberSet, UpdateStats};
use front_proxy_layers::endpoint::{ConnectionOptions, Connector, Protocol};
use front_proxy_layers::runtime::Runtime;
use front_proxy_layers::stats::{Scope, SslStats};
use tokio::task::JoinHandle;

use super::counted_lookups::CountedLookups;
use crate::config::model::{self, Discovery, LbPolicy, UpstreamProtocol};
use crate::stats::absent;
use crate::tls::{Upstream, Watched};

/// A cluster could not be built.
#[derive(Debug)]
pub struct BuildError {
    cluster: String,
    what: String,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster `{}`: {}", self.cluster, self.what)
    }
}

impl std::error::Error for BuildError {}

pub(super) fn cluster(
    config: &model::Cluster,
    runtime: &Runtime,
    scope: &Scope,
    workers: usize,
) -> Result<(Cluster, Option<Arc<Upstream>>), BuildError> {
    let fail = |what: String| BuildError { cluster: config.name.clone(), what };
    if config.per_connection_buffer_limit.is_some() {
        let name = &config.name;
        let field = "per_connection_buffer_limit_bytes";
        tracing::warn!(target: "config", "cluster `{name}`: `{field}` is without effect");
    }
    let stats = stats_scope(config, scope);
    absent::cluster(&stats, config.tls.is_some());
    let tls = config
        .tls
        .as_ref()
        .map(|tls| Upstream::new(tls, config.protocol, SslStats::of_cluster(stats.child("ssl"))));
    let tls = tls.transpose().map_err(fail)?.map(Arc::new);
    let connector = tls.as_ref().map_or_else(Connector::plain, |tls| tls.connector());
    let mut builder = Cluster::builder(config.name.as_str())
        .stats(scope.clone())
        .stat_name(stat_name(config))
        .connections(connections(config))
        .connector(connector)
        .limits(Priority::Default, limits(&config.breakers))
        .limits(Priority::High, limits(&config.breakers_high))
        .health(health(config))
        .runtime(runtime)
        .updated(scope.child("cluster_manager").counter("cluster_updated"))
        .shards(workers);
    if let Some(check) = &config.health_check {
        builder = builder.health_check(check.clone());
    }
    if let Some(settings) = &config.outlier {
        builder = builder.outlier_detection(settings.clone());
    }
    let cluster = match config.lb_policy {
        LbPolicy::RoundRobin => balanced(builder, RoundRobin::default()),
        LbPolicy::Random => balanced(builder, Random),
        LbPolicy::LeastRequest => balanced(builder, LeastRequest),
        LbPolicy::RingHash => {
            let ring = RingHash::new()
                .minimum_size(config.ring_hash.minimum_size)
                .maximum_size(config.ring_hash.maximum_size);
            balanced(builder, ring.stats(&stats))
        }
        LbPolicy::Maglev => {
            let size = config.maglev_table_size;
            let maglev = Maglev::with_size(size)
                .ok_or_else(|| fail(format!("the table size {size} is not a prime number")))?;
            balanced(builder, maglev.stats(&stats))
        }
    };
    Ok((cluster, tls))
}

/// What looks after the files of a cluster's TLS context, where it has any.
pub(super) fn watched(
    config: &model::Cluster,
    tls: &Arc<Upstream>,
    scope: &Scope,
) -> Option<Watched> {
    let scope = stats_scope(config, scope).child("client_ssl_socket_factory");
    Watched::new(format!("cluster `{}`", config.name), Arc::clone(tls) as _, &scope)
}

fn stat_name(config: &model::Cluster) -> &str {
    config.alt_stat_name.as_deref().unwrap_or(&config.name)
}

pub(super) fn stats_scope(config: &model::Cluster, scope: &Scope) -> Scope {
    scope.child("cluster").tagged("envoy_cluster_name", stat_name(config))
}

fn balanced(
    builder: front_proxy_layers::cluster::ClusterBuilder,
    balancer: impl LoadBalancer,
) -> Cluster {
    builder.balancer(balancer).build()
}

fn connections(config: &model::Cluster) -> ConnectionOptions {
    ConnectionOptions {
        protocol: match config.protocol {
            UpstreamProtocol::Http1 => Protocol::Http1,
            UpstreamProtocol::Http2 => Protocol::Http2,
            UpstreamProtocol::Auto => Protocol::Auto,
        },
        connect_timeout: config.connect_timeout,
        idle_timeout: config.idle_timeout,
        max_requests: config.max_requests_per_connection,
        max_duration: config.max_connection_duration,
        title_case_headers: config.http1.proper_case_words,
        absolute_form: config.http1.send_fully_qualified_url,
        http1_trailers: config.http1.enable_trailers,
        http2_max_streams: config.http2.max_concurrent_streams,
        http2_stream_window: config.http2.initial_stream_window_size,
        http2_connection_window: config.http2.initial_connection_window_size,
        http2_keepalive: config.http2.keepalive,
    }
}

fn health(config: &model::Cluster) -> HealthOptions {
    let mut options = config.health.clone();
    // The one address of such a cluster is replaced by another. There is nothing to keep.
    options.ignore_health_on_removal |= matches!(config.discovery, Discovery::LogicalDns(_));
    options
}

fn limits(thresholds: &model::Thresholds) -> Limits {
    Limits {
        connections: thresholds.max_connections,
        pending: thresholds.max_pending_requests,
        requests: thresholds.max_requests,
        retries: thresholds.max_retries,
        track_remaining: thresholds.track_remaining,
    }
}

/// Fills the cluster with its members, or starts what will. The second value waits for the first
/// resolution.
pub(super) fn discover(
    config: &model::Cluster,
    cluster: &Cluster,
    scope: &Scope,
) -> (Option<JoinHandle<()>>, Option<FirstResolution>) {
    let own = stats_scope(config, scope);
    let stats = UpdateStats::new(&own);
    match &config.discovery {
        Discovery::Static => {
            cluster.update(config.endpoints.iter().filter_map(member).collect());
            // That there are none is known as well: they are in use.
            for name in MEMBERSHIP {
                own.gauge(name).increment(0.0);
            }
            (None, None)
        }
        Discovery::StrictDns(dns) => {
            let targets = config.endpoints.iter().map(target).collect();
            let discovery = StrictDns::new(targets, resolver(dns, scope), settings(dns), stats);
            let first = discovery.first_resolution();
            (Some(tokio::spawn(discovery.run(cluster.clone()))), Some(first))
        }
        Discovery::LogicalDns(dns) => {
            let Some(endpoint) = config.endpoints.first() else {
                return (None, None);
            };
            let discovery =
                LogicalDns::new(target(endpoint), resolver(dns, scope), settings(dns), stats);
            let first = discovery.first_resolution();
            (Some(tokio::spawn(discovery.run(cluster.clone()))), Some(first))
        }
    }
}

const MEMBERSHIP: [&str; 4] =
    ["membership_degraded", "membership_excluded", "membership_healthy", "membership_total"];

fn member(endpoint: &model::EndpointSpec) -> Option<Member> {
    let ip: IpAddr = endpoint.host.parse().ok()?;
    Some(Member {
        address: SocketAddr::new(ip, endpoint.port),
        // An address is no name: `auto_host_rewrite` leaves the host then.
        hostname: endpoint.hostname.as_deref().unwrap_or_default().into(),
        weight: endpoint.weight,
        locality: locality(endpoint),
        priority: endpoint.priority,
        status: endpoint.status,
        checking: endpoint.checking.clone().map(Arc::new),
    })
}

fn target(endpoint: &model::EndpointSpec) -> Target {
    Target {
        host: endpoint.host.as_str().into(),
        port: endpoint.port,
        hostname: endpoint.hostname.as_deref().map(Into::into),
        weight: endpoint.weight,
        locality: locality(endpoint),
        priority: endpoint.priority,
        status: endpoint.status,
        checking: endpoint.checking.clone().map(Arc::new),
    }
}

fn locality(endpoint: &model::EndpointSpec) -> Option<Arc<Locality>> {
    let (region, zone, sub_zone) = &endpoint.locality;
    if region.is_empty() && zone.is_empty() && sub_zone.is_empty() {
        return None;
    }
    Some(Arc::new(Locality {
        region: region.clone(),
        zone: zone.clone(),
        sub_zone: sub_zone.clone(),
    }))
}

fn resolver(dns: &model::Dns, scope: &Scope) -> CountedLookups {
    let resolver = DnsResolver::new(DnsResolverOptions {
        resolvers: dns.resolvers.clone(),
        use_tcp: dns.use_tcp,
        no_search: dns.no_search,
        ..DnsResolverOptions::default()
    });
    CountedLookups::new(resolver, scope)
}

fn settings(dns: &model::Dns) -> Settings {
    Settings {
        family: dns.family,
        refresh: Refresh {
            rate: dns.refresh_rate,
            respect_ttl: dns.respect_ttl,
            ..Refresh::default()
        },
    }
}
