//! The validated configuration: plain values, every reference resolved, every default filled in.
//!
//! The reader ([`super::load_file`]) turns a bootstrap file into this and nothing else reads the file;
//! what builds listeners and clusters from it can't fail for reasons that lie in the file.

mod http_filters;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use front_proxy_layers::access_log::RuntimeFilter;
pub use front_proxy_layers::cluster::HealthOptions;
use front_proxy_layers::cors::CorsPolicy;
pub use front_proxy_layers::discover::Checking;
pub use front_proxy_layers::discover::dns::LookupFamily as DnsFamily;
pub use front_proxy_layers::forwarded::ForwardClientCert;
pub use front_proxy_layers::health::HealthStatus;
pub use front_proxy_layers::health_check::HealthCheck;
pub use front_proxy_layers::outlier::OutlierDetection;
pub use front_proxy_layers::route::RequireTls;
use front_proxy_layers::route::{
    DirectResponse, HashPolicy, HeaderEdits, HostRewrite, PathRewrite, Redirect, RetryPolicy,
    RouteMatch, UpgradeRule,
};
pub use front_proxy_layers::runtime::RuntimeValue;
use front_proxy_layers::runtime::{Key, Runtime, RuntimeU32};
pub use front_proxy_layers::sanitize::{EscapedSlashes, StripPort as StripHostPort};
pub use front_proxy_layers::server_header::Transformation as ServerHeader;
pub use http_filters::*;
pub use tls::{
    DownstreamTls, PeerValidation, SanType, SubjectAltNameMatch, TlsCertificate, TlsVersions,
    UpstreamTls,
};

use crate::stats::{Rules, StatsdOptions};

/// A whole bootstrap.
#[derive(Clone, Debug, Default)]
pub struct Bootstrap {
    /// `node`.
    pub node: Node,
    /// `static_resources.listeners`, in file order.
    pub listeners: Vec<Listener>,
    /// `static_resources.clusters`, in file order.
    pub clusters: Vec<Cluster>,
    /// `admin`, where given.
    pub admin: Option<Admin>,
    /// What says the values that other fields follow: at first those of the static layers.
    pub runtime: Runtime,
    /// `layered_runtime.layers`, the lowest first.
    pub runtime_layers: Vec<RuntimeLayer>,
    /// `stats_config`
    pub stats: Rules,
    /// `stats_sinks`
    pub stats_sinks: Vec<StatsdOptions>,
    /// `stats_flush_interval` or `stats_flush_on_admin`
    pub stats_flush: StatsFlush,
    /// Fields that were read and are deprecated in Envoy.
    pub deprecated: Vec<Deprecated>,
    /// How many unknown fields were left out: none unless the [`Loader`](super::Loader) was told to.
    pub unknown_fields: u64,
    /// All of it as it was written, in JSON. It holds secrets.
    pub source: Source,
}

/// A field that was read and is deprecated in Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deprecated {
    /// The full name of its message.
    pub message: &'static str,
    /// Its own.
    pub field: &'static str,
    /// Where it stands: file, line and column.
    pub place: String,
    /// How often Envoy counts it in `runtime.deprecated_feature_use`: not at all, where it has not
    /// begun to count when it reads the field, and twice where it reads it twice.
    pub counted: u64,
}

/// When intervals of stats end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsFlush {
    /// By the clock: `stats_flush_interval`, 5 s by default.
    Every(Duration),
    /// Whenever the admin app is asked for stats: `stats_flush_on_admin`.
    OnAdmin,
}

impl Default for StatsFlush {
    fn default() -> Self {
        Self::Every(Duration::from_secs(5))
    }
}

/// A configuration as it was written.
#[derive(Clone, Default)]
pub struct Source(pub serde_json::Value);

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Private keys are in it.
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

/// `node`.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// `id`; `--service-node` overrides it.
    pub id: String,
    /// `cluster`; `--service-cluster` overrides it.
    pub cluster: String,
    /// `locality.region`
    pub region: String,
    /// `locality.zone`; `--service-zone` overrides it.
    pub zone: String,
    /// `locality.sub_zone`
    pub sub_zone: String,
    /// `metadata`, as JSON.
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

/// A layer of `layered_runtime`.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeLayer {
    /// `name`
    pub name: String,
    /// Where its values come from.
    pub source: RuntimeSource,
}

/// Where the values of a runtime layer come from.
#[derive(Clone, Debug, PartialEq)]
pub enum RuntimeSource {
    /// `static_layer`, flattened to dotted keys, in file order.
    Static(Vec<(String, RuntimeEntry)>),
    /// `admin_layer`: `POST /runtime_modify`.
    Admin,
    /// `disk_layer`
    Disk(DiskLayer),
}

/// `disk_layer`: a file for each value, whose path is the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskLayer {
    /// `symlink_root`: the values are read anew when this link is replaced.
    pub symlink_root: PathBuf,
    /// `subdirectory` below it.
    pub subdirectory: String,
    /// `append_service_cluster`: the values are in a folder of it that is named after `node.cluster`.
    pub append_service_cluster: bool,
}

/// A value of the runtime.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeEntry {
    /// As it was written.
    pub text: String,
    /// What it says.
    pub value: RuntimeValue,
}

/// `admin`.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
}

/// A listener.
#[derive(Clone, Debug)]
pub struct Listener {
    /// `name`; empty where none was given (shown as a random UUID, as Envoy does).
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// `stat_prefix`, where given; else stats go by the address.
    pub stat_prefix: Option<String>,
    /// `per_connection_buffer_limit_bytes`. Default 1 MiB.
    pub per_connection_buffer_limit: usize,
    /// `tcp_backlog_size`, where given.
    pub backlog: Option<u32>,
    /// `envoy.resource_limits.listener.<name>.connection_limit` of the runtime, for one with a name.
    pub connection_limit: Option<Key>,
    /// `enable_reuse_port`. Default `true`.
    pub reuse_port: bool,
    /// `traffic_direction: INBOUND`: it closes with `POST /drain_listeners?inboundonly`.
    pub inbound: bool,
    /// `filter_chains`; never empty.
    pub filter_chains: Vec<FilterChain>,
}

/// A filter chain: what serves connections that match it.
#[derive(Clone, Debug)]
pub struct FilterChain {
    /// `name`; empty where none was given.
    pub name: String,
    /// `filter_chain_match.server_names`: exact or `*.suffix`, lower case; empty matches all.
    pub server_names: Vec<String>,
    /// `transport_socket`, where it is TLS.
    pub tls: Option<DownstreamTls>,
    /// The connection manager, which is the only network filter there is.
    pub http: Arc<HttpConnectionManager>,
}

/// A piece of data and where it came from.
#[derive(Clone)]
pub struct DataSource {
    /// The file, where it came from one.
    pub file: Option<PathBuf>,
    /// What it holds.
    pub bytes: Arc<[u8]>,
}

impl DataSource {
    /// Where it came from, in words: its file, or `<inline>`.
    pub fn origin(&self) -> String {
        match &self.file {
            Some(path) => path.display().to_string(),
            None => "<inline>".to_owned(),
        }
    }
}

impl std::fmt::Debug for DataSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Private keys come this way: never print the bytes.
        f.debug_struct("DataSource")
            .field("file", &self.file)
            .field("len", &self.bytes.len())
            .finish()
    }
}

/// `HttpConnectionManager`.
#[derive(Clone, Debug)]
pub struct HttpConnectionManager {
    /// `stat_prefix`
    pub stat_prefix: String,
    /// `codec_type`. Default AUTO.
    pub codec: Codec,
    /// `route_config`
    pub routes: RouteTable,
    /// `http_filters` before the router.
    pub http_filters: Vec<HttpFilter>,
    /// `http_filters`: whether there is a router. Without one every request is a 404.
    pub has_router: bool,
    /// `suppress_envoy_headers` of the router.
    pub suppress_envoy_headers: bool,
    /// `server_name`. Default `envoy`.
    pub server_name: String,
    /// `server_header_transformation`. Default OVERWRITE.
    pub server_header: ServerHeader,
    /// `via`, where given.
    pub via: Option<String>,
    /// `use_remote_address`. Default `false`.
    pub use_remote_address: bool,
    /// `xff_num_trusted_hops`
    pub xff_num_trusted_hops: u32,
    /// `skip_xff_append`
    pub skip_xff_append: bool,
    /// `internal_address_config.cidr_ranges` as address and prefix length.
    pub internal_addresses: Vec<(IpAddr, u8)>,
    /// `represent_ipv4_remote_address_as_ipv4_mapped_ipv6`
    pub ipv4_as_mapped_ipv6: bool,
    /// `generate_request_id`. Default `true`.
    pub generate_request_id: bool,
    /// `preserve_external_request_id`
    pub preserve_external_request_id: bool,
    /// `always_set_request_id_in_response`
    pub always_set_request_id_in_response: bool,
    /// `add_user_agent`: then `--service-cluster` / `node.cluster` is announced.
    pub add_user_agent: bool,
    /// `forward_client_cert_details`. Default SANITIZE.
    pub forward_client_cert: ForwardClientCert,
    /// `normalize_path`
    pub normalize_path: bool,
    /// `merge_slashes`
    pub merge_slashes: bool,
    /// `path_with_escaped_slashes_action`. Default KEEP_UNCHANGED.
    pub escaped_slashes: EscapedSlashes,
    /// `strip_matching_host_port` / `strip_any_host_port`
    pub strip_host_port: StripHostPort,
    /// `strip_trailing_host_dot`
    pub strip_trailing_host_dot: bool,
    /// `proxy_100_continue`
    pub proxy_100_continue: bool,
    /// `upgrade_configs`
    pub upgrades: Vec<UpgradeRule>,
    /// `max_request_headers_kb`. Default 60.
    pub max_request_headers_kb: u32,
    /// `common_http_protocol_options.max_headers_count`. Default 100.
    pub max_headers_count: u32,
    /// `common_http_protocol_options.headers_with_underscores_action`. Default ALLOW.
    pub underscores: UnderscoresAction,
    /// `http_protocol_options.override_stream_error_on_invalid_http_message`, else
    /// `stream_error_on_invalid_http_message`: an HTTP/1 connection outlives a request that is
    /// refused for its path or for want of a host. What the codec refuses ends it in any case.
    pub keep_connection_on_bad_message: bool,
    /// `http_protocol_options`
    pub http1: Http1Options,
    /// `http2_protocol_options`
    pub http2: Http2Options,
    /// Timeouts.
    pub timeouts: ConnectionTimeouts,
    /// `common_http_protocol_options.max_requests_per_connection`; `None` is no limit.
    pub max_requests_per_connection: Option<u32>,
    /// `access_log`
    pub access_logs: Vec<AccessLog>,
}

/// `codec_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// By ALPN, else by the HTTP/2 preface.
    #[default]
    Auto,
    /// HTTP/1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
}

/// `headers_with_underscores_action`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Envoy's names
pub enum UnderscoresAction {
    #[default]
    Allow,
    RejectRequest,
    DropHeader,
}

/// `http_protocol_options`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http1Options {
    /// `allow_absolute_url`. Default `true`.
    pub allow_absolute_url: bool,
    /// `accept_http_10`
    pub accept_http_10: bool,
    /// `default_host_for_http_10`
    pub default_host_for_http_10: Option<String>,
    /// `enable_trailers`
    pub enable_trailers: bool,
    /// `allow_chunked_length`
    pub allow_chunked_length: bool,
    /// `header_key_format.proper_case_words`
    pub proper_case_words: bool,
    /// `send_fully_qualified_url` (upstream side)
    pub send_fully_qualified_url: bool,
}

impl Default for Http1Options {
    fn default() -> Self {
        Self {
            allow_absolute_url: true,
            accept_http_10: false,
            default_host_for_http_10: None,
            enable_trailers: false,
            allow_chunked_length: false,
            proper_case_words: false,
            send_fully_qualified_url: false,
        }
    }
}

/// `http2_protocol_options`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2Options {
    /// `max_concurrent_streams`. Default 1024.
    pub max_concurrent_streams: u32,
    /// `initial_stream_window_size` in bytes. Default 16 MiB.
    pub initial_stream_window_size: u32,
    /// `initial_connection_window_size` in bytes. Default 24 MiB.
    pub initial_connection_window_size: u32,
    /// `allow_connect`
    pub allow_connect: bool,
    /// `connection_keepalive.interval` and `.timeout`
    pub keepalive: Option<(Duration, Duration)>,
    /// `override_stream_error_on_invalid_http_message`, else the connection manager's
    /// `stream_error_on_invalid_http_message`: a bad message ends its stream only.
    pub keep_connection_on_bad_message: bool,
}

impl Default for Http2Options {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 1024,
            initial_stream_window_size: 16 << 20,
            initial_connection_window_size: 24 << 20,
            allow_connect: false,
            keepalive: None,
            keep_connection_on_bad_message: false,
        }
    }
}

/// The timeouts of a connection manager; `None` is none.
#[derive(Clone, Debug)]
pub struct ConnectionTimeouts {
    /// `common_http_protocol_options.idle_timeout`. Default 1 h.
    pub idle: Option<Duration>,
    /// `common_http_protocol_options.max_connection_duration`
    pub max_connection_duration: Option<Duration>,
    /// `common_http_protocol_options.max_stream_duration`
    pub max_stream_duration: Option<Duration>,
    /// `stream_idle_timeout`. Default 5 min.
    pub stream_idle: Option<Duration>,
    /// `request_timeout`
    pub request: Option<Duration>,
    /// `request_headers_timeout`
    pub request_headers: Option<Duration>,
    /// `drain_timeout`. Default 5 s.
    pub drain: Duration,
    /// `delayed_close_timeout`. Default 1 s.
    pub delayed_close: Option<Duration>,
}

impl Default for ConnectionTimeouts {
    fn default() -> Self {
        Self {
            idle: Some(Duration::from_secs(3600)),
            max_connection_duration: None,
            max_stream_duration: None,
            stream_idle: Some(Duration::from_secs(300)),
            request: None,
            request_headers: None,
            drain: Duration::from_secs(5),
            delayed_close: Some(Duration::from_secs(1)),
        }
    }
}

/// `access_log`: one logger.
#[derive(Clone, Debug)]
pub struct AccessLog {
    /// Where lines go.
    pub sink: AccessLogSink,
    /// How a line looks.
    pub format: AccessLogFormat,
    /// `filter`, where given.
    pub filter: Option<AccessLogFilter>,
}

/// `filter` of an access log.
#[derive(Clone, Debug)]
pub enum AccessLogFilter {
    /// `status_code_filter`
    Status(Comparison, RuntimeU32),
    /// `runtime_filter`
    Runtime(RuntimeFilter),
}

/// Where an access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AccessLogSink {
    File(PathBuf),
    Stdout,
    Stderr,
}

/// How an access log line looks. The formats are checked by the reader.
#[derive(Clone, Debug, Default)]
pub enum AccessLogFormat {
    /// Envoy's default line.
    #[default]
    Default,
    /// A text format, which ends its own lines.
    Text(String),
    /// A JSON format.
    Json(serde_json::Map<String, serde_json::Value>),
}

/// `comparison.op`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Comparison {
    Eq,
    Ge,
    Le,
    Ne,
}

/// `route_config`.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    /// `name`
    pub name: String,
    /// `virtual_hosts`
    pub virtual_hosts: Vec<VirtualHost>,
    /// Header changes at table level.
    pub headers: HeaderEdits,
    /// `most_specific_header_mutations_wins`
    pub most_specific_wins: bool,
    /// `typed_per_filter_config`
    pub filters: Vec<FilterOverride>,
}

/// A virtual host.
#[derive(Clone, Debug)]
pub struct VirtualHost {
    /// `name`
    pub name: String,
    /// `domains`: exact, `*.suffix`, `prefix.*` or `*`; lower case; unique over the table.
    pub domains: Vec<String>,
    /// `require_tls`. Default NONE.
    pub require_tls: RequireTls,
    /// Routes; the first that matches wins.
    pub routes: Vec<Route>,
    /// Header changes at this level.
    pub headers: HeaderEdits,
    /// `include_request_attempt_count`
    pub request_attempt_count: bool,
    /// `include_attempt_count_in_response`
    pub response_attempt_count: bool,
    /// `typed_per_filter_config`
    pub filters: Vec<FilterOverride>,
    /// `cors`, which counts where no filter is set for the route.
    pub cors: Option<CorsPolicy>,
}

/// A route.
#[derive(Clone, Debug)]
pub struct Route {
    /// `name`
    pub name: String,
    /// `match`
    pub matching: RouteMatch,
    /// What to do.
    pub action: RouteAction,
    /// Header changes at this level.
    pub headers: HeaderEdits,
    /// `typed_per_filter_config`
    pub filters: Vec<FilterOverride>,
}

/// What a route does.
#[derive(Clone, Debug)]
pub enum RouteAction {
    /// `route`
    Forward(Box<Forward>),
    /// `redirect`
    Redirect(Redirect),
    /// `direct_response`
    Direct(DirectResponse),
}

/// `route`: send it to a cluster.
#[derive(Clone, Debug)]
pub struct Forward {
    /// `cluster` or `weighted_clusters`.
    pub target: Target,
    /// `cluster_not_found_response_code`. Default 503.
    pub cluster_not_found: http::StatusCode,
    /// `timeout`. Default 15 s; `0s` is none.
    pub timeout: Option<Duration>,
    /// `idle_timeout`: overrides the stream idle timeout; `Some(None)` disables it.
    pub idle_timeout: Option<Option<Duration>>,
    /// `prefix_rewrite` or `regex_rewrite`.
    pub path_rewrite: Option<PathRewrite>,
    /// `host_rewrite_*` or `auto_host_rewrite`.
    pub host_rewrite: Option<HostRewrite>,
    /// `append_x_forwarded_host`
    pub append_x_forwarded_host: bool,
    /// `retry_policy`
    pub retry: Option<RetryPolicy>,
    /// `upgrade_configs`, which go before the connection manager's.
    pub upgrades: Vec<UpgradeRule>,
    /// `hash_policy`
    pub hash_policy: Vec<HashPolicy>,
    /// `priority: HIGH`
    pub high_priority: bool,
    /// `cors`, which counts where no filter is set for the route.
    pub cors: Option<CorsPolicy>,
}

/// Where a route sends requests.
#[derive(Clone, Debug)]
pub enum Target {
    /// To one cluster. Its name is checked unless `validate_clusters: false`.
    Cluster(String),
    /// To one of several, by weight (never 0 in all, unless they follow the runtime).
    Weighted(Vec<WeightedCluster>),
}

/// One of `weighted_clusters`.
#[derive(Clone, Debug)]
pub struct WeightedCluster {
    /// The cluster.
    pub name: String,
    /// Its share.
    pub weight: u32,
    /// Where the runtime may say another: `<runtime_key_prefix>.<cluster>`.
    pub runtime_key: Option<Key>,
    /// Header changes for requests that go there.
    pub headers: HeaderEdits,
    /// `typed_per_filter_config`
    pub filters: Vec<FilterOverride>,
}

/// A cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// `name`
    pub name: String,
    /// `alt_stat_name`, where given.
    pub alt_stat_name: Option<String>,
    /// `type`. Default STATIC.
    pub discovery: Discovery,
    /// `lb_policy`. Default ROUND_ROBIN.
    pub lb_policy: LbPolicy,
    /// `ring_hash_lb_config`
    pub ring_hash: RingHashOptions,
    /// `maglev_lb_config.table_size`: a prime number. Default 65537.
    pub maglev_table_size: u64,
    /// `load_assignment`: endpoints as written.
    pub endpoints: Vec<EndpointSpec>,
    /// `connect_timeout`. Default 5 s.
    pub connect_timeout: Duration,
    /// `per_connection_buffer_limit_bytes`, where given: without effect, and said so at start.
    pub per_connection_buffer_limit: Option<u32>,
    /// The protocol spoken upstream.
    pub protocol: UpstreamProtocol,
    /// `http_protocol_options` of the upstream side.
    pub http1: Http1Options,
    /// `http2_protocol_options` of the upstream side.
    pub http2: Http2Options,
    /// `common_http_protocol_options.idle_timeout`. Default 1 h.
    pub idle_timeout: Option<Duration>,
    /// `common_http_protocol_options.max_connection_duration`
    pub max_connection_duration: Option<Duration>,
    /// `common_http_protocol_options.max_stream_duration`
    pub max_stream_duration: Option<Duration>,
    /// `common_http_protocol_options.max_requests_per_connection`
    pub max_requests_per_connection: Option<u32>,
    /// `circuit_breakers.thresholds` of the default priority.
    pub breakers: Thresholds,
    /// `circuit_breakers.thresholds` of priority HIGH.
    pub breakers_high: Thresholds,
    /// `common_lb_config`, `load_assignment.policy` and `ignore_health_on_host_removal`.
    pub health: HealthOptions,
    /// `health_checks`, of which there is one at most.
    pub health_check: Option<HealthCheck>,
    /// `outlier_detection`, where it is on.
    pub outlier: Option<OutlierDetection>,
    /// `transport_socket`, where it is TLS.
    pub tls: Option<UpstreamTls>,
}

/// `type`.
#[derive(Clone, Debug)]
pub enum Discovery {
    /// Addresses as given.
    Static,
    /// All addresses of each name.
    StrictDns(Dns),
    /// One address of the one name.
    LogicalDns(Dns),
}

/// How names are resolved.
#[derive(Clone, Debug)]
pub struct Dns {
    /// `dns_refresh_rate`. Default 5 s.
    pub refresh_rate: Duration,
    /// `respect_dns_ttl`
    pub respect_ttl: bool,
    /// `dns_lookup_family`. Default AUTO.
    pub family: DnsFamily,
    /// Resolvers of `typed_dns_resolver_config`; empty is the system's.
    pub resolvers: Vec<SocketAddr>,
    /// `use_tcp_for_dns_lookups`
    pub use_tcp: bool,
    /// `no_default_search_domain`
    pub no_search: bool,
}

/// `lb_policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Envoy's names
pub enum LbPolicy {
    #[default]
    RoundRobin,
    LeastRequest,
    Random,
    RingHash,
    Maglev,
}

/// `ring_hash_lb_config`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingHashOptions {
    /// `minimum_ring_size`. Default 1024.
    pub minimum_size: u64,
    /// `maximum_ring_size`. Default 8 Mi.
    pub maximum_size: u64,
}

impl Default for RingHashOptions {
    fn default() -> Self {
        Self { minimum_size: 1024, maximum_size: 8 << 20 }
    }
}

/// An endpoint as written.
#[derive(Clone, Debug)]
pub struct EndpointSpec {
    /// An IP address or, in DNS clusters, a name.
    pub host: String,
    /// The port.
    pub port: u16,
    /// `load_balancing_weight`. Default 1.
    pub weight: u32,
    /// `hostname`, where given.
    pub hostname: Option<String>,
    /// `locality` of its group, as (region, zone, sub zone).
    pub locality: (String, String, String),
    /// `priority` of its group.
    pub priority: u32,
    /// `health_status`. Default UNKNOWN.
    pub status: HealthStatus,
    /// `health_check_config`, where given.
    pub checking: Option<Checking>,
}

/// The protocol spoken upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 (over plain text: with prior knowledge).
    Http2,
    /// By ALPN (`auto_config`).
    Auto,
}

/// Circuit breaker limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Default 1024.
    pub max_connections: u32,
    /// Default 1024.
    pub max_pending_requests: u32,
    /// Default 1024.
    pub max_requests: u32,
    /// Default 3.
    pub max_retries: u32,
    /// `track_remaining`: gauges show what is left.
    pub track_remaining: bool,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 1024,
            max_retries: 3,
            track_remaining: false,
        }
    }
}
