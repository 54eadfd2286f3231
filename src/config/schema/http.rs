//! The HTTP connection manager and access logs.

use super::Schema;

pub(in crate::config) const HTTP_CONNECTION_MANAGER: Schema = Schema {
    message: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    note: "",
    supported: &[
        "codec_type",
        "stat_prefix",
        "route_config",
        "http_filters",
        "add_user_agent",
        "common_http_protocol_options",
        "http_protocol_options",
        "http2_protocol_options",
        "server_name",
        "server_header_transformation",
        "max_request_headers_kb",
        "stream_idle_timeout",
        "request_timeout",
        "request_headers_timeout",
        "drain_timeout",
        "delayed_close_timeout",
        "access_log",
        "use_remote_address",
        "xff_num_trusted_hops",
        "internal_address_config",
        "skip_xff_append",
        "via",
        "generate_request_id",
        "preserve_external_request_id",
        "always_set_request_id_in_response",
        "forward_client_cert_details",
        "proxy_100_continue",
        "represent_ipv4_remote_address_as_ipv4_mapped_ipv6",
        "upgrade_configs",
        "normalize_path",
        "merge_slashes",
        "path_with_escaped_slashes_action",
        "strip_matching_host_port",
        "strip_any_host_port",
        "stream_error_on_invalid_http_message",
        "strip_trailing_host_dot",
    ],
    refused: &[
        "access_log_flush_interval",
        "access_log_options",
        "add_proxy_protocol_connection_state",
        "append_local_overload",
        "append_x_forwarded_port",
        "drain_timeout_jitter",
        "early_header_mutation_extensions",
        "flush_access_log_on_new_request",
        "forward_client_cert_matcher",
        "forward_proto_config",
        "http1_safe_max_connection_duration",
        "http3_protocol_options",
        "local_reply_config",
        "original_ip_detection_extensions",
        "path_normalization_options",
        "proxy_status_config",
        "rds",
        "record_route_resolution_stats",
        "request_id_extension",
        "scheme_header_transformation",
        "scoped_routes",
        "set_current_client_cert_details",
        "stream_flush_timeout",
        "tracing",
        "typed_header_validation_config",
    ],
};

pub(in crate::config) const INTERNAL_ADDRESS_CONFIG: Schema = Schema {
    message: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig",
    note: "",
    supported: &["cidr_ranges"],
    refused: &["unix_sockets"],
};

pub(in crate::config) const CIDR_RANGE: Schema = Schema {
    message: "envoy.config.core.v3.CidrRange",
    note: "",
    supported: &["address_prefix", "prefix_len"],
    refused: &[],
};

pub(in crate::config) const HCM_UPGRADE_CONFIG: Schema = Schema {
    message: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig",
    note: "",
    supported: &["upgrade_type", "enabled"],
    refused: &["filters"],
};

pub(in crate::config) const HTTP_FILTER: Schema = Schema {
    message: "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
    note: "",
    supported: &["name", "typed_config", "is_optional", "disabled"],
    refused: &["config_discovery"],
};

pub(in crate::config) const ROUTER: Schema = Schema {
    message: "envoy.extensions.filters.http.router.v3.Router",
    note: "",
    supported: &["suppress_envoy_headers"],
    refused: &[
        "dynamic_stats",
        "reject_connect_request_early_data",
        "respect_expected_rq_timeout",
        "start_child_span",
        "strict_check_headers",
        "suppress_grpc_request_failure_code_stats",
        "upstream_http_filters",
        "upstream_log",
        "upstream_log_options",
    ],
};

pub(in crate::config) const DOWNSTREAM_COMMON_HTTP: Schema = Schema {
    message: "envoy.config.core.v3.HttpProtocolOptions",
    note: "(of a connection manager)",
    supported: &[
        "idle_timeout",
        "max_connection_duration",
        "max_headers_count",
        "max_stream_duration",
        "headers_with_underscores_action",
        "max_requests_per_connection",
    ],
    refused: &["max_connection_duration_jitter", "max_response_headers_kb"],
};

pub(in crate::config) const HTTP1_OPTIONS: Schema = Schema {
    message: "envoy.config.core.v3.Http1ProtocolOptions",
    note: "",
    supported: &[
        "allow_absolute_url",
        "accept_http_10",
        "default_host_for_http_10",
        "header_key_format",
        "enable_trailers",
        "allow_chunked_length",
        "override_stream_error_on_invalid_http_message",
        "send_fully_qualified_url",
    ],
    refused: &["allow_custom_methods", "ignore_http_11_upgrade", "use_balsa_parser"],
};

pub(in crate::config) const HEADER_KEY_FORMAT: Schema = Schema {
    message: "envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat",
    note: "",
    supported: &["proper_case_words"],
    refused: &["stateful_formatter"],
};

pub(in crate::config) const PROPER_CASE_WORDS: Schema = Schema {
    message: "envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat.ProperCaseWords",
    note: "",
    supported: &[],
    refused: &[],
};

pub(in crate::config) const HTTP2_OPTIONS: Schema = Schema {
    message: "envoy.config.core.v3.Http2ProtocolOptions",
    note: "",
    supported: &[
        "max_concurrent_streams",
        "initial_stream_window_size",
        "initial_connection_window_size",
        "allow_connect",
        "override_stream_error_on_invalid_http_message",
        "connection_keepalive",
    ],
    refused: &[
        "allow_metadata",
        "custom_settings_parameters",
        "disallow_obs_text",
        "enable_huffman_encoding",
        "hpack_table_size",
        "max_consecutive_inbound_frames_with_empty_payload",
        "max_header_field_size_kb",
        "max_inbound_priority_frames_per_stream",
        "max_inbound_window_update_frames_per_data_frame_sent",
        "max_metadata_size",
        "max_outbound_control_frames",
        "max_outbound_frames",
        "stream_error_on_invalid_http_messaging",
        "stream_reset_burst",
        "stream_reset_rate",
        "use_oghttp2_codec",
    ],
};

pub(in crate::config) const KEEPALIVE: Schema = Schema {
    message: "envoy.config.core.v3.KeepaliveSettings",
    note: "",
    supported: &["interval", "timeout"],
    refused: &["connection_idle_interval", "interval_jitter"],
};

pub(in crate::config) const ACCESS_LOG: Schema = Schema {
    message: "envoy.config.accesslog.v3.AccessLog",
    note: "",
    supported: &["name", "filter", "typed_config"],
    refused: &[],
};

pub(in crate::config) const ACCESS_LOG_FILTER: Schema = Schema {
    message: "envoy.config.accesslog.v3.AccessLogFilter",
    note: "",
    supported: &["status_code_filter", "runtime_filter"],
    refused: &[
        "and_filter",
        "duration_filter",
        "extension_filter",
        "grpc_status_filter",
        "header_filter",
        "log_type_filter",
        "metadata_filter",
        "not_health_check_filter",
        "or_filter",
        "response_flag_filter",
        "traceable_filter",
    ],
};

pub(in crate::config) const STATUS_CODE_FILTER: Schema = Schema {
    message: "envoy.config.accesslog.v3.StatusCodeFilter",
    note: "",
    supported: &["comparison"],
    refused: &[],
};

pub(in crate::config) const RUNTIME_FILTER: Schema = Schema {
    message: "envoy.config.accesslog.v3.RuntimeFilter",
    note: "",
    supported: &["runtime_key", "percent_sampled", "use_independent_randomness"],
    refused: &[],
};

pub(in crate::config) const COMPARISON_FILTER: Schema = Schema {
    message: "envoy.config.accesslog.v3.ComparisonFilter",
    note: "",
    supported: &["op", "value"],
    refused: &[],
};

pub(in crate::config) const RUNTIME_UINT32: Schema = Schema {
    message: "envoy.config.core.v3.RuntimeUInt32",
    note: "",
    supported: &["default_value", "runtime_key"],
    refused: &[],
};

pub(in crate::config) const FILE_ACCESS_LOG: Schema = Schema {
    message: "envoy.extensions.access_loggers.file.v3.FileAccessLog",
    note: "",
    supported: &["path", "format", "json_format", "log_format"],
    refused: &["typed_json_format"],
};

pub(in crate::config) const STDOUT_ACCESS_LOG: Schema = Schema {
    message: "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
    note: "",
    supported: &["log_format"],
    refused: &[],
};

pub(in crate::config) const STDERR_ACCESS_LOG: Schema = Schema {
    message: "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
    note: "",
    supported: &["log_format"],
    refused: &[],
};

pub(in crate::config) const FORMAT_STRING: Schema = Schema {
    message: "envoy.config.core.v3.SubstitutionFormatString",
    note: "",
    supported: &["text_format", "json_format", "text_format_source"],
    refused: &["content_type", "formatters", "json_format_options", "omit_empty_values"],
};

pub(super) const ALL: &[&Schema] = &[
    &HTTP_CONNECTION_MANAGER,
    &INTERNAL_ADDRESS_CONFIG,
    &CIDR_RANGE,
    &HCM_UPGRADE_CONFIG,
    &HTTP_FILTER,
    &ROUTER,
    &DOWNSTREAM_COMMON_HTTP,
    &HTTP1_OPTIONS,
    &HEADER_KEY_FORMAT,
    &PROPER_CASE_WORDS,
    &HTTP2_OPTIONS,
    &KEEPALIVE,
    &ACCESS_LOG,
    &ACCESS_LOG_FILTER,
    &STATUS_CODE_FILTER,
    &RUNTIME_FILTER,
    &COMPARISON_FILTER,
    &RUNTIME_UINT32,
    &FILE_ACCESS_LOG,
    &STDOUT_ACCESS_LOG,
    &STDERR_ACCESS_LOG,
    &FORMAT_STRING,
];
