//! Fields that protobuf leaves out where they have their default: scalars and enums without a wrapper,
//! outside of any `oneof`. What was written and what was not look alike there, and `/config_dump` shows
//! neither.

/// By message, sorted; each with its fields.
const IMPLICIT: &[(&str, &[&str])] = &[
    ("envoy.config.accesslog.v3.AccessLog", &["name"]),
    ("envoy.config.accesslog.v3.ComparisonFilter", &["op"]),
    ("envoy.config.bootstrap.v3.RuntimeLayer", &["name"]),
    (
        "envoy.config.bootstrap.v3.RuntimeLayer.DiskLayer",
        &["append_service_cluster", "subdirectory", "symlink_root"],
    ),
    ("envoy.config.cluster.v3.CircuitBreakers.Thresholds", &["priority", "track_remaining"]),
    (
        "envoy.config.cluster.v3.Cluster",
        &[
            "alt_stat_name",
            "close_connections_on_host_health_failure",
            "dns_lookup_family",
            "ignore_health_on_host_removal",
            "lb_policy",
            "name",
            "respect_dns_ttl",
            "use_tcp_for_dns_lookups",
        ],
    ),
    ("envoy.config.cluster.v3.Cluster.CommonLbConfig", &["ignore_new_hosts_until_first_hc"]),
    ("envoy.config.cluster.v3.Cluster.RingHashLbConfig", &["hash_function"]),
    ("envoy.config.cluster.v3.OutlierDetection", &["split_external_local_origin_errors"]),
    ("envoy.config.core.v3.CidrRange", &["address_prefix"]),
    (
        "envoy.config.core.v3.DnsResolverOptions",
        &["no_default_search_domain", "use_tcp_for_dns_lookups"],
    ),
    ("envoy.config.core.v3.HeaderValue", &["key", "value"]),
    ("envoy.config.core.v3.HeaderValueOption", &["append_action", "keep_empty_value"]),
    (
        "envoy.config.core.v3.HealthCheck",
        &["always_log_health_check_failures", "interval_jitter_percent"],
    ),
    ("envoy.config.core.v3.HealthCheck.GrpcHealthCheck", &["authority", "service_name"]),
    (
        "envoy.config.core.v3.HealthCheck.HttpHealthCheck",
        &["codec_client_type", "host", "method", "path"],
    ),
    (
        "envoy.config.core.v3.Http1ProtocolOptions",
        &[
            "accept_http_10",
            "allow_chunked_length",
            "default_host_for_http_10",
            "enable_trailers",
            "send_fully_qualified_url",
        ],
    ),
    ("envoy.config.core.v3.Http2ProtocolOptions", &["allow_connect"]),
    ("envoy.config.core.v3.HttpProtocolOptions", &["headers_with_underscores_action"]),
    ("envoy.config.core.v3.Locality", &["region", "sub_zone", "zone"]),
    ("envoy.config.core.v3.Node", &["cluster", "id"]),
    ("envoy.config.core.v3.RuntimeFractionalPercent", &["runtime_key"]),
    ("envoy.config.core.v3.RuntimeUInt32", &["default_value", "runtime_key"]),
    ("envoy.config.core.v3.SocketAddress", &["address", "protocol"]),
    ("envoy.config.core.v3.TransportSocket", &["name"]),
    ("envoy.config.core.v3.TypedExtensionConfig", &["name"]),
    ("envoy.config.endpoint.v3.ClusterLoadAssignment", &["cluster_name"]),
    ("envoy.config.endpoint.v3.ClusterLoadAssignment.Policy", &["weighted_priority_health"]),
    ("envoy.config.endpoint.v3.Endpoint", &["hostname"]),
    (
        "envoy.config.endpoint.v3.Endpoint.HealthCheckConfig",
        &["disable_active_health_check", "hostname", "port_value"],
    ),
    ("envoy.config.endpoint.v3.LbEndpoint", &["health_status"]),
    ("envoy.config.endpoint.v3.LocalityLbEndpoints", &["priority"]),
    ("envoy.config.listener.v3.Filter", &["name"]),
    ("envoy.config.listener.v3.FilterChain", &["name"]),
    ("envoy.config.listener.v3.Listener", &["name", "stat_prefix", "traffic_direction"]),
    ("envoy.config.listener.v3.ListenerFilter", &["name"]),
    ("envoy.config.metrics.v3.DogStatsdSink", &["prefix"]),
    ("envoy.config.metrics.v3.StatsSink", &["name"]),
    ("envoy.config.metrics.v3.StatsdSink", &["prefix"]),
    ("envoy.config.metrics.v3.TagSpecifier", &["tag_name"]),
    ("envoy.config.route.v3.DirectResponseAction", &["status"]),
    ("envoy.config.route.v3.FilterConfig", &["disabled", "is_optional"]),
    (
        "envoy.config.route.v3.HeaderMatcher",
        &["invert_match", "name", "treat_missing_header_as_empty"],
    ),
    ("envoy.config.route.v3.QueryParameterMatcher", &["name"]),
    (
        "envoy.config.route.v3.RedirectAction",
        &["host_redirect", "port_redirect", "response_code", "strip_query"],
    ),
    ("envoy.config.route.v3.RetryPolicy", &["host_selection_retry_max_attempts", "retry_on"]),
    ("envoy.config.route.v3.RetryPolicy.RetryHostPredicate", &["name"]),
    ("envoy.config.route.v3.Route", &["name"]),
    (
        "envoy.config.route.v3.RouteAction",
        &[
            "append_x_forwarded_host",
            "cluster_not_found_response_code",
            "prefix_rewrite",
            "priority",
        ],
    ),
    ("envoy.config.route.v3.RouteAction.HashPolicy", &["terminal"]),
    ("envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties", &["source_ip"]),
    ("envoy.config.route.v3.RouteAction.HashPolicy.Cookie", &["name", "path"]),
    ("envoy.config.route.v3.RouteAction.HashPolicy.Header", &["header_name"]),
    ("envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter", &["name"]),
    ("envoy.config.route.v3.RouteAction.UpgradeConfig", &["upgrade_type"]),
    ("envoy.config.route.v3.RouteConfiguration", &["most_specific_header_mutations_wins", "name"]),
    (
        "envoy.config.route.v3.VirtualHost",
        &[
            "include_attempt_count_in_response",
            "include_request_attempt_count",
            "name",
            "require_tls",
        ],
    ),
    ("envoy.config.route.v3.WeightedCluster", &["runtime_key_prefix"]),
    ("envoy.config.route.v3.WeightedCluster.ClusterWeight", &["name"]),
    ("envoy.extensions.access_loggers.file.v3.FileAccessLog", &["path"]),
    (
        "envoy.extensions.filters.http.fault.v3.HTTPFault",
        &[
            "abort_grpc_status_runtime",
            "abort_http_status_runtime",
            "abort_percent_runtime",
            "delay_duration_runtime",
            "delay_percent_runtime",
            "disable_downstream_cluster_stats",
            "max_active_faults_runtime",
            "upstream_cluster",
        ],
    ),
    (
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        &["enable_x_ratelimit_headers", "rate_limited_as_resource_exhausted", "stat_prefix"],
    ),
    ("envoy.extensions.filters.http.router.v3.Router", &["suppress_envoy_headers"]),
    (
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        &[
            "always_set_request_id_in_response",
            "codec_type",
            "forward_client_cert_details",
            "merge_slashes",
            "path_with_escaped_slashes_action",
            "preserve_external_request_id",
            "proxy_100_continue",
            "represent_ipv4_remote_address_as_ipv4_mapped_ipv6",
            "server_header_transformation",
            "server_name",
            "skip_xff_append",
            "stat_prefix",
            "strip_matching_host_port",
            "strip_trailing_host_dot",
            "via",
            "xff_num_trusted_hops",
        ],
    ),
    (
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig",
        &["upgrade_type"],
    ),
    (
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
        &["disabled", "is_optional", "name"],
    ),
    ("envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher", &["oid", "san_type"]),
    (
        "envoy.extensions.transport_sockets.tls.v3.TlsParameters",
        &["tls_maximum_protocol_version", "tls_minimum_protocol_version"],
    ),
    ("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", &["sni"]),
    ("envoy.type.matcher.v3.RegexMatchAndSubstitute", &["substitution"]),
    ("envoy.type.matcher.v3.RegexMatcher", &["regex"]),
    ("envoy.type.matcher.v3.StringMatcher", &["ignore_case"]),
    ("envoy.type.v3.FractionalPercent", &["denominator", "numerator"]),
    ("envoy.type.v3.HttpStatus", &["code"]),
    ("envoy.type.v3.Int64Range", &["end", "start"]),
    ("envoy.type.v3.Percent", &["value"]),
    ("envoy.type.v3.TokenBucket", &["max_tokens"]),
];

/// Numbers of 64 bits, which are written as text.
const WIDE: &[(&str, &[&str])] = &[
    ("envoy.config.cluster.v3.Cluster.MaglevLbConfig", &["table_size"]),
    (
        "envoy.config.cluster.v3.Cluster.RingHashLbConfig",
        &["maximum_ring_size", "minimum_ring_size"],
    ),
    ("envoy.config.core.v3.HealthCheck.HttpHealthCheck", &["response_buffer_size"]),
    ("envoy.config.metrics.v3.DogStatsdSink", &["max_bytes_per_datagram"]),
    ("envoy.config.route.v3.RetryPolicy", &["host_selection_retry_max_attempts"]),
    ("envoy.type.v3.Int64Range", &["end", "start"]),
];

/// Whether a field is not written where it has its default.
pub(in crate::config) fn is_implicit(message: &str, field: &str) -> bool {
    contains(IMPLICIT, message, field)
}

/// Whether a field is a number of 64 bits.
pub(in crate::config) fn is_wide(message: &str, field: &str) -> bool {
    contains(WIDE, message, field)
}

fn contains(table: &[(&str, &[&str])], message: &str, field: &str) -> bool {
    let at = table.binary_search_by_key(&message, |(message, _)| message);
    at.is_ok_and(|at| table[at].1.contains(&field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_what_is_read() {
        for table in [IMPLICIT, WIDE] {
            assert!(table.is_sorted_by_key(|(message, _)| message));
        }
        for (message, fields) in IMPLICIT.iter().chain(WIDE) {
            for field in *fields {
                let read = |schema: &&crate::config::schema::Schema| {
                    schema.message == *message && schema.supported.contains(field)
                };
                assert!(
                    crate::config::schema::tables().any(|schema| read(&schema)),
                    "{message}: {field}"
                );
            }
        }
    }
}
