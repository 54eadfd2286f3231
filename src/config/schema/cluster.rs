//! Clusters and their endpoints.

use super::Schema;

pub(in crate::config) const CLUSTER: Schema = Schema {
    message: "envoy.config.cluster.v3.Cluster",
    note: "",
    supported: &[
        "name",
        "alt_stat_name",
        "type",
        "connect_timeout",
        "per_connection_buffer_limit_bytes",
        "lb_policy",
        "ring_hash_lb_config",
        "maglev_lb_config",
        "common_lb_config",
        "load_assignment",
        "health_checks",
        "ignore_health_on_host_removal",
        "close_connections_on_host_health_failure",
        "outlier_detection",
        "max_requests_per_connection",
        "circuit_breakers",
        "common_http_protocol_options",
        "http_protocol_options",
        "http2_protocol_options",
        "typed_extension_protocol_options",
        "dns_refresh_rate",
        "respect_dns_ttl",
        "dns_lookup_family",
        "use_tcp_for_dns_lookups",
        "typed_dns_resolver_config",
        "transport_socket",
    ],
    refused: &[
        "cleanup_interval",
        "cluster_type",
        "connection_pool_per_downstream_connection",
        "dns_failure_refresh_rate",
        "dns_jitter",
        "dns_resolution_config",
        "dns_resolvers",
        "eds_cluster_config",
        "filters",
        "lb_subset_config",
        "least_request_lb_config",
        "load_balancing_policy",
        "lrs_report_endpoint_metrics",
        "lrs_server",
        "metadata",
        "original_dst_lb_config",
        "per_connection_buffer_high_watermark_timeout",
        "preconnect_policy",
        "protocol_selection",
        "queuing_policies",
        "round_robin_lb_config",
        "stats_matcher",
        "track_cluster_stats",
        "track_timeout_budgets",
        "transport_socket_matcher",
        "transport_socket_matches",
        "upstream_bind_config",
        "upstream_config",
        "upstream_connection_options",
        "upstream_http_protocol_options",
        "wait_for_warm_on_init",
    ],
};

pub(in crate::config) const RING_HASH: Schema = Schema {
    message: "envoy.config.cluster.v3.Cluster.RingHashLbConfig",
    note: "",
    supported: &["minimum_ring_size", "maximum_ring_size", "hash_function"],
    refused: &[],
};

pub(in crate::config) const MAGLEV: Schema = Schema {
    message: "envoy.config.cluster.v3.Cluster.MaglevLbConfig",
    note: "",
    supported: &["table_size"],
    refused: &[],
};

pub(in crate::config) const LOAD_ASSIGNMENT: Schema = Schema {
    message: "envoy.config.endpoint.v3.ClusterLoadAssignment",
    note: "",
    supported: &["cluster_name", "endpoints", "policy"],
    refused: &["named_endpoints"],
};

pub(in crate::config) const ASSIGNMENT_POLICY: Schema = Schema {
    message: "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy",
    note: "",
    supported: &["overprovisioning_factor", "weighted_priority_health"],
    refused: &["drop_overloads", "endpoint_stale_after"],
};

pub(in crate::config) const LOCALITY_LB_ENDPOINTS: Schema = Schema {
    message: "envoy.config.endpoint.v3.LocalityLbEndpoints",
    note: "",
    supported: &["locality", "lb_endpoints", "priority"],
    refused: &[
        "leds_cluster_locality_config",
        "load_balancer_endpoints",
        "load_balancing_weight",
        "metadata",
        "proximity",
    ],
};

pub(in crate::config) const LB_ENDPOINT: Schema = Schema {
    message: "envoy.config.endpoint.v3.LbEndpoint",
    note: "",
    supported: &["endpoint", "load_balancing_weight", "health_status"],
    refused: &["endpoint_name", "metadata"],
};

pub(in crate::config) const ENDPOINT: Schema = Schema {
    message: "envoy.config.endpoint.v3.Endpoint",
    note: "",
    supported: &["address", "hostname", "health_check_config"],
    refused: &["additional_addresses", "observability_name"],
};

pub(in crate::config) const CIRCUIT_BREAKERS: Schema = Schema {
    message: "envoy.config.cluster.v3.CircuitBreakers",
    note: "",
    supported: &["thresholds"],
    refused: &["per_host_thresholds"],
};

pub(in crate::config) const THRESHOLDS: Schema = Schema {
    message: "envoy.config.cluster.v3.CircuitBreakers.Thresholds",
    note: "",
    supported: &[
        "priority",
        "max_connections",
        "max_pending_requests",
        "max_requests",
        "max_retries",
        "track_remaining",
    ],
    refused: &["max_connection_pools", "retry_budget"],
};

pub(in crate::config) const UPSTREAM_HTTP: Schema = Schema {
    message: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    note: "",
    supported: &["common_http_protocol_options", "explicit_http_config", "auto_config"],
    refused: &[
        "hash_policy",
        "header_validation_config",
        "http_filters",
        "outlier_detection",
        "request_mirror_policies",
        "retry_policy",
        "upstream_http_protocol_options",
        "use_downstream_protocol_config",
    ],
};

pub(in crate::config) const EXPLICIT_HTTP: Schema = Schema {
    message: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig",
    note: "",
    supported: &["http_protocol_options", "http2_protocol_options"],
    refused: &["http3_protocol_options"],
};

pub(in crate::config) const AUTO_HTTP: Schema = Schema {
    message: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig",
    note: "",
    supported: &["http_protocol_options", "http2_protocol_options"],
    refused: &["alternate_protocols_cache_options", "http3_protocol_options"],
};

pub(in crate::config) const UPSTREAM_COMMON_HTTP: Schema = Schema {
    message: "envoy.config.core.v3.HttpProtocolOptions",
    note: "(of a cluster)",
    supported: &[
        "idle_timeout",
        "max_connection_duration",
        "max_stream_duration",
        "max_requests_per_connection",
    ],
    refused: &[
        "headers_with_underscores_action",
        "max_connection_duration_jitter",
        "max_headers_count",
        "max_response_headers_kb",
    ],
};

pub(in crate::config) const CARES_RESOLVER: Schema = Schema {
    message: "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
    note: "",
    supported: &["resolvers", "dns_resolver_options"],
    refused: &[
        "edns0_max_payload_size",
        "filter_unroutable_families",
        "max_udp_channel_duration",
        "qcache_max_ttl",
        "query_timeout_seconds",
        "query_tries",
        "reinit_channel_on_timeout",
        "rotate_nameservers",
        "udp_max_queries",
        "use_resolvers_as_fallback",
    ],
};

pub(in crate::config) const DNS_RESOLVER_OPTIONS: Schema = Schema {
    message: "envoy.config.core.v3.DnsResolverOptions",
    note: "",
    supported: &["use_tcp_for_dns_lookups", "no_default_search_domain"],
    refused: &[],
};

pub(in crate::config) const GETADDRINFO_RESOLVER: Schema = Schema {
    message: "envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig",
    note: "",
    supported: &[],
    refused: &["num_resolver_threads", "num_retries"],
};

pub(super) const ALL: &[&Schema] = &[
    &CLUSTER,
    &RING_HASH,
    &MAGLEV,
    &LOAD_ASSIGNMENT,
    &ASSIGNMENT_POLICY,
    &LOCALITY_LB_ENDPOINTS,
    &LB_ENDPOINT,
    &ENDPOINT,
    &CIRCUIT_BREAKERS,
    &THRESHOLDS,
    &UPSTREAM_HTTP,
    &EXPLICIT_HTTP,
    &AUTO_HTTP,
    &UPSTREAM_COMMON_HTTP,
    &CARES_RESOLVER,
    &DNS_RESOLVER_OPTIONS,
    &GETADDRINFO_RESOLVER,
];
