//! HTTP filters and what routes say about them.

use super::Schema;

pub(in crate::config) const FILTER_CONFIG: Schema = Schema {
    message: "envoy.config.route.v3.FilterConfig",
    note: "",
    supported: &["config", "is_optional", "disabled"],
    refused: &[],
};

pub(in crate::config) const BUFFER: Schema = Schema {
    message: "envoy.extensions.filters.http.buffer.v3.Buffer",
    note: "",
    supported: &["max_request_bytes"],
    refused: &[],
};

pub(in crate::config) const BUFFER_PER_ROUTE: Schema = Schema {
    message: "envoy.extensions.filters.http.buffer.v3.BufferPerRoute",
    note: "",
    supported: &["disabled", "buffer"],
    refused: &[],
};

pub(in crate::config) const CORS: Schema = Schema {
    message: "envoy.extensions.filters.http.cors.v3.Cors",
    note: "",
    supported: &[],
    refused: &[],
};

const CORS_FIELDS: &[&str] = &[
    "allow_origin_string_match",
    "allow_methods",
    "allow_headers",
    "expose_headers",
    "max_age",
    "allow_credentials",
    "filter_enabled",
    "shadow_enabled",
    "allow_private_network_access",
    "forward_not_matching_preflights",
];

pub(in crate::config) const CORS_POLICY: Schema = Schema {
    message: "envoy.extensions.filters.http.cors.v3.CorsPolicy",
    note: "",
    supported: CORS_FIELDS,
    refused: &[],
};

pub(in crate::config) const ROUTE_CORS_POLICY: Schema = Schema {
    message: "envoy.config.route.v3.CorsPolicy",
    note: "",
    supported: CORS_FIELDS,
    refused: &[],
};

pub(in crate::config) const FAULT: Schema = Schema {
    message: "envoy.extensions.filters.http.fault.v3.HTTPFault",
    note: "",
    supported: &[
        "delay",
        "abort",
        "upstream_cluster",
        "headers",
        "downstream_nodes",
        "max_active_faults",
        "delay_percent_runtime",
        "abort_percent_runtime",
        "delay_duration_runtime",
        "abort_http_status_runtime",
        "max_active_faults_runtime",
        "abort_grpc_status_runtime",
        "disable_downstream_cluster_stats",
    ],
    refused: &["filter_metadata", "response_rate_limit", "response_rate_limit_percent_runtime"],
};

pub(in crate::config) const FAULT_ABORT: Schema = Schema {
    message: "envoy.extensions.filters.http.fault.v3.FaultAbort",
    note: "",
    supported: &["http_status", "grpc_status", "header_abort", "percentage"],
    refused: &[],
};

pub(in crate::config) const HEADER_ABORT: Schema = Schema {
    message: "envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort",
    note: "",
    supported: &[],
    refused: &[],
};

pub(in crate::config) const FAULT_DELAY: Schema = Schema {
    message: "envoy.extensions.filters.common.fault.v3.FaultDelay",
    note: "",
    supported: &["fixed_delay", "header_delay", "percentage"],
    refused: &[],
};

pub(in crate::config) const HEADER_DELAY: Schema = Schema {
    message: "envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay",
    note: "",
    supported: &[],
    refused: &[],
};

pub(in crate::config) const HEALTH_CHECK: Schema = Schema {
    message: "envoy.extensions.filters.http.health_check.v3.HealthCheck",
    note: "",
    supported: &["pass_through_mode", "cache_time", "cluster_min_healthy_percentages", "headers"],
    refused: &[],
};

pub(in crate::config) const PERCENT: Schema =
    Schema { message: "envoy.type.v3.Percent", note: "", supported: &["value"], refused: &[] };

pub(in crate::config) const LOCAL_RATE_LIMIT: Schema = Schema {
    message: "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
    note: "",
    supported: &[
        "stat_prefix",
        "status",
        "token_bucket",
        "filter_enabled",
        "filter_enforced",
        "request_headers_to_add_when_not_enforced",
        "response_headers_to_add",
        "enable_x_ratelimit_headers",
        "rate_limited_as_resource_exhausted",
    ],
    refused: &[
        "always_consume_default_token_bucket",
        "descriptors",
        "local_cluster_rate_limit",
        "local_rate_limit_per_downstream_connection",
        "max_dynamic_descriptors",
        "rate_limits",
        "stage",
        "vh_rate_limits",
    ],
};

pub(in crate::config) const HTTP_STATUS: Schema =
    Schema { message: "envoy.type.v3.HttpStatus", note: "", supported: &["code"], refused: &[] };

pub(in crate::config) const TOKEN_BUCKET: Schema = Schema {
    message: "envoy.type.v3.TokenBucket",
    note: "",
    supported: &["max_tokens", "tokens_per_fill", "fill_interval"],
    refused: &[],
};

pub(super) const ALL: &[&Schema] = &[
    &FILTER_CONFIG,
    &BUFFER,
    &BUFFER_PER_ROUTE,
    &CORS,
    &CORS_POLICY,
    &ROUTE_CORS_POLICY,
    &FAULT,
    &FAULT_ABORT,
    &HEADER_ABORT,
    &FAULT_DELAY,
    &HEADER_DELAY,
    &HEALTH_CHECK,
    &PERCENT,
    &LOCAL_RATE_LIMIT,
    &HTTP_STATUS,
    &TOKEN_BUCKET,
];
