//! Route tables.

use super::Schema;

pub(in crate::config) const ROUTE_CONFIGURATION: Schema = Schema {
    message: "envoy.config.route.v3.RouteConfiguration",
    note: "",
    supported: &[
        "name",
        "virtual_hosts",
        "response_headers_to_add",
        "response_headers_to_remove",
        "request_headers_to_add",
        "request_headers_to_remove",
        "most_specific_header_mutations_wins",
        "validate_clusters",
        "max_direct_response_body_size_bytes",
        "typed_per_filter_config",
    ],
    refused: &[
        "cluster_specifier_plugins",
        "ignore_path_parameters_in_path_matching",
        "ignore_port_in_host_matching",
        "internal_only_headers",
        "metadata",
        "request_mirror_policies",
        "route_specifiers",
        "vhds",
        "vhost_header",
    ],
};

pub(in crate::config) const VIRTUAL_HOST: Schema = Schema {
    message: "envoy.config.route.v3.VirtualHost",
    note: "",
    supported: &[
        "name",
        "domains",
        "routes",
        "require_tls",
        "request_headers_to_add",
        "request_headers_to_remove",
        "response_headers_to_add",
        "response_headers_to_remove",
        "include_request_attempt_count",
        "include_attempt_count_in_response",
        "retry_policy",
        "cors",
        "typed_per_filter_config",
    ],
    refused: &[
        "hedge_policy",
        "include_is_timeout_retry_header",
        "matcher",
        "metadata",
        "per_request_buffer_limit_bytes",
        "rate_limits",
        "request_body_buffer_limit",
        "request_mirror_policies",
        "retry_policy_typed_config",
        "route_specifiers",
        "virtual_clusters",
    ],
};

pub(in crate::config) const ROUTE: Schema = Schema {
    message: "envoy.config.route.v3.Route",
    note: "",
    supported: &[
        "name",
        "match",
        "route",
        "redirect",
        "direct_response",
        "request_headers_to_add",
        "request_headers_to_remove",
        "response_headers_to_add",
        "response_headers_to_remove",
        "typed_per_filter_config",
    ],
    refused: &[
        "decorator",
        "filter_action",
        "metadata",
        "non_forwarding_action",
        "per_request_buffer_limit_bytes",
        "request_body_buffer_limit",
        "route_specifiers",
        "stat_prefix",
        "tracing",
    ],
};

pub(in crate::config) const ROUTE_MATCH: Schema = Schema {
    message: "envoy.config.route.v3.RouteMatch",
    note: "",
    supported: &[
        "prefix",
        "path",
        "safe_regex",
        "connect_matcher",
        "path_separated_prefix",
        "case_sensitive",
        "runtime_fraction",
        "headers",
        "query_parameters",
        "grpc",
    ],
    refused: &["cookies", "dynamic_metadata", "filter_state", "path_match_policy", "tls_context"],
};

pub(in crate::config) const CONNECT_MATCHER: Schema = Schema {
    message: "envoy.config.route.v3.RouteMatch.ConnectMatcher",
    note: "",
    supported: &[],
    refused: &[],
};

pub(in crate::config) const GRPC_MATCH: Schema = Schema {
    message: "envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions",
    note: "",
    supported: &[],
    refused: &[],
};

pub(in crate::config) const RUNTIME_FRACTION: Schema = Schema {
    message: "envoy.config.core.v3.RuntimeFractionalPercent",
    note: "",
    supported: &["default_value", "runtime_key"],
    refused: &[],
};

pub(in crate::config) const FRACTIONAL_PERCENT: Schema = Schema {
    message: "envoy.type.v3.FractionalPercent",
    note: "",
    supported: &["numerator", "denominator"],
    refused: &[],
};

pub(in crate::config) const HEADER_MATCHER: Schema = Schema {
    message: "envoy.config.route.v3.HeaderMatcher",
    note: "",
    supported: &[
        "name",
        "exact_match",
        "safe_regex_match",
        "range_match",
        "present_match",
        "prefix_match",
        "suffix_match",
        "contains_match",
        "string_match",
        "invert_match",
        "treat_missing_header_as_empty",
    ],
    refused: &[],
};

pub(in crate::config) const INT64_RANGE: Schema = Schema {
    message: "envoy.type.v3.Int64Range",
    note: "",
    supported: &["start", "end"],
    refused: &[],
};

pub(in crate::config) const QUERY_MATCHER: Schema = Schema {
    message: "envoy.config.route.v3.QueryParameterMatcher",
    note: "",
    supported: &["name", "string_match", "present_match"],
    refused: &[],
};

pub(in crate::config) const STRING_MATCHER: Schema = Schema {
    message: "envoy.type.matcher.v3.StringMatcher",
    note: "",
    supported: &["exact", "prefix", "suffix", "safe_regex", "contains", "ignore_case"],
    refused: &["custom"],
};

pub(in crate::config) const REGEX_MATCHER: Schema = Schema {
    message: "envoy.type.matcher.v3.RegexMatcher",
    note: "",
    supported: &["google_re2", "regex"],
    refused: &[],
};

pub(in crate::config) const GOOGLE_RE2: Schema = Schema {
    message: "envoy.type.matcher.v3.RegexMatcher.GoogleRE2",
    note: "",
    supported: &[],
    refused: &["max_program_size"],
};

pub(in crate::config) const REGEX_SUBSTITUTE: Schema = Schema {
    message: "envoy.type.matcher.v3.RegexMatchAndSubstitute",
    note: "",
    supported: &["pattern", "substitution"],
    refused: &[],
};

pub(in crate::config) const ROUTE_ACTION: Schema = Schema {
    message: "envoy.config.route.v3.RouteAction",
    note: "",
    supported: &[
        "cluster",
        "weighted_clusters",
        "cluster_not_found_response_code",
        "prefix_rewrite",
        "regex_rewrite",
        "host_rewrite_literal",
        "auto_host_rewrite",
        "host_rewrite_header",
        "host_rewrite_path_regex",
        "append_x_forwarded_host",
        "timeout",
        "idle_timeout",
        "retry_policy",
        "priority",
        "hash_policy",
        "upgrade_configs",
        "cors",
    ],
    refused: &[
        "cluster_header",
        "cluster_specifier_plugin",
        "early_data_policy",
        "flush_timeout",
        "grpc_timeout_offset",
        "hedge_policy",
        "host_rewrite",
        "include_vh_rate_limits",
        "inline_cluster_specifier_plugin",
        "internal_redirect_action",
        "internal_redirect_policy",
        "max_grpc_timeout",
        "max_internal_redirects",
        "max_stream_duration",
        "metadata_match",
        "path_rewrite",
        "path_rewrite_policy",
        "rate_limits",
        "request_mirror_policies",
        "retry_policy_typed_config",
    ],
};

pub(in crate::config) const WEIGHTED_CLUSTERS: Schema = Schema {
    message: "envoy.config.route.v3.WeightedCluster",
    note: "",
    supported: &["clusters", "runtime_key_prefix"],
    refused: &["header_name", "total_weight", "use_hash_policy"],
};

pub(in crate::config) const CLUSTER_WEIGHT: Schema = Schema {
    message: "envoy.config.route.v3.WeightedCluster.ClusterWeight",
    note: "",
    supported: &[
        "name",
        "weight",
        "request_headers_to_add",
        "request_headers_to_remove",
        "response_headers_to_add",
        "response_headers_to_remove",
        "typed_per_filter_config",
    ],
    refused: &["cluster_header", "host_rewrite_literal", "metadata_match"],
};

pub(in crate::config) const ROUTE_UPGRADE_CONFIG: Schema = Schema {
    message: "envoy.config.route.v3.RouteAction.UpgradeConfig",
    note: "",
    supported: &["upgrade_type", "enabled", "connect_config"],
    refused: &[],
};

pub(in crate::config) const CONNECT_CONFIG: Schema = Schema {
    message: "envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig",
    note: "",
    supported: &[],
    refused: &["allow_post", "proxy_protocol_config"],
};

pub(in crate::config) const HASH_POLICY: Schema = Schema {
    message: "envoy.config.route.v3.RouteAction.HashPolicy",
    note: "",
    supported: &["header", "cookie", "connection_properties", "query_parameter", "terminal"],
    refused: &["filter_state"],
};

pub(in crate::config) const HASH_HEADER: Schema = Schema {
    message: "envoy.config.route.v3.RouteAction.HashPolicy.Header",
    note: "",
    supported: &["header_name"],
    refused: &["regex_rewrite"],
};

pub(in crate::config) const HASH_COOKIE: Schema = Schema {
    message: "envoy.config.route.v3.RouteAction.HashPolicy.Cookie",
    note: "",
    supported: &["name", "ttl", "path"],
    refused: &["attributes"],
};

pub(in crate::config) const HASH_CONNECTION: Schema = Schema {
    message: "envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties",
    note: "",
    supported: &["source_ip"],
    refused: &[],
};

pub(in crate::config) const HASH_QUERY: Schema = Schema {
    message: "envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter",
    note: "",
    supported: &["name"],
    refused: &[],
};

pub(in crate::config) const RETRY_POLICY: Schema = Schema {
    message: "envoy.config.route.v3.RetryPolicy",
    note: "",
    supported: &[
        "retry_on",
        "num_retries",
        "per_try_timeout",
        "per_try_idle_timeout",
        "retry_host_predicate",
        "host_selection_retry_max_attempts",
        "retriable_status_codes",
        "retry_back_off",
        "retriable_headers",
        "retriable_request_headers",
    ],
    refused: &[
        "rate_limited_retry_back_off",
        "refresh_cluster_on_retry",
        "retry_options_predicates",
        "retry_priority",
    ],
};

pub(in crate::config) const RETRY_BACK_OFF: Schema = Schema {
    message: "envoy.config.route.v3.RetryPolicy.RetryBackOff",
    note: "",
    supported: &["base_interval", "max_interval"],
    refused: &[],
};

pub(in crate::config) const RETRY_HOST_PREDICATE: Schema = Schema {
    message: "envoy.config.route.v3.RetryPolicy.RetryHostPredicate",
    note: "",
    supported: &["name", "typed_config"],
    refused: &[],
};

pub(in crate::config) const PREVIOUS_HOSTS: Schema = Schema {
    message: "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
    note: "",
    supported: &[],
    refused: &[],
};

pub(in crate::config) const REDIRECT: Schema = Schema {
    message: "envoy.config.route.v3.RedirectAction",
    note: "",
    supported: &[
        "https_redirect",
        "scheme_redirect",
        "host_redirect",
        "port_redirect",
        "path_redirect",
        "prefix_rewrite",
        "regex_rewrite",
        "response_code",
        "strip_query",
    ],
    refused: &["path_rewrite"],
};

pub(in crate::config) const DIRECT_RESPONSE: Schema = Schema {
    message: "envoy.config.route.v3.DirectResponseAction",
    note: "",
    supported: &["status", "body"],
    refused: &["body_format"],
};

pub(in crate::config) const HEADER_VALUE_OPTION: Schema = Schema {
    message: "envoy.config.core.v3.HeaderValueOption",
    note: "",
    supported: &["header", "append", "append_action", "keep_empty_value"],
    refused: &[],
};

pub(in crate::config) const HEADER_VALUE: Schema = Schema {
    message: "envoy.config.core.v3.HeaderValue",
    note: "",
    supported: &["key", "value"],
    refused: &["raw_value"],
};

pub(super) const ALL: &[&Schema] = &[
    &ROUTE_CONFIGURATION,
    &VIRTUAL_HOST,
    &ROUTE,
    &ROUTE_MATCH,
    &CONNECT_MATCHER,
    &GRPC_MATCH,
    &RUNTIME_FRACTION,
    &FRACTIONAL_PERCENT,
    &HEADER_MATCHER,
    &INT64_RANGE,
    &QUERY_MATCHER,
    &STRING_MATCHER,
    &REGEX_MATCHER,
    &GOOGLE_RE2,
    &REGEX_SUBSTITUTE,
    &ROUTE_ACTION,
    &WEIGHTED_CLUSTERS,
    &CLUSTER_WEIGHT,
    &ROUTE_UPGRADE_CONFIG,
    &CONNECT_CONFIG,
    &HASH_POLICY,
    &HASH_HEADER,
    &HASH_COOKIE,
    &HASH_CONNECTION,
    &HASH_QUERY,
    &RETRY_POLICY,
    &RETRY_BACK_OFF,
    &RETRY_HOST_PREDICATE,
    &PREVIOUS_HOSTS,
    &REDIRECT,
    &DIRECT_RESPONSE,
    &HEADER_VALUE_OPTION,
    &HEADER_VALUE,
];
