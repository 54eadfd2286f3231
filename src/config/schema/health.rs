//! Health of endpoints: checks, outlier detection, and what follows for load balancing.

use super::Schema;

pub(in crate::config) const COMMON_LB: Schema = Schema {
    message: "envoy.config.cluster.v3.Cluster.CommonLbConfig",
    note: "",
    supported: &["healthy_panic_threshold", "ignore_new_hosts_until_first_hc"],
    refused: &[
        "close_connections_on_host_set_change",
        "consistent_hashing_lb_config",
        "locality_weighted_lb_config",
        "override_host_status",
        "update_merge_window",
        "zone_aware_lb_config",
    ],
};

pub(in crate::config) const PERCENT: Schema =
    Schema { message: "envoy.type.v3.Percent", note: "", supported: &["value"], refused: &[] };

pub(in crate::config) const ENDPOINT_HEALTH_CHECK: Schema = Schema {
    message: "envoy.config.endpoint.v3.Endpoint.HealthCheckConfig",
    note: "",
    supported: &["port_value", "hostname", "address", "disable_active_health_check"],
    refused: &[],
};

pub(in crate::config) const HEALTH_CHECK: Schema = Schema {
    message: "envoy.config.core.v3.HealthCheck",
    note: "",
    supported: &[
        "timeout",
        "interval",
        "initial_jitter",
        "interval_jitter",
        "interval_jitter_percent",
        "unhealthy_threshold",
        "healthy_threshold",
        "reuse_connection",
        "http_health_check",
        "tcp_health_check",
        "grpc_health_check",
        "no_traffic_interval",
        "no_traffic_healthy_interval",
        "unhealthy_interval",
        "unhealthy_edge_interval",
        "healthy_edge_interval",
        "always_log_health_check_failures",
    ],
    refused: &[
        "alt_port",
        "always_log_health_check_success",
        "custom_health_check",
        "event_log_path",
        "event_logger",
        "event_service",
        "tls_options",
        "transport_socket_match_criteria",
    ],
};

pub(in crate::config) const HTTP_HEALTH_CHECK: Schema = Schema {
    message: "envoy.config.core.v3.HealthCheck.HttpHealthCheck",
    note: "",
    supported: &[
        "host",
        "path",
        "send",
        "receive",
        "response_buffer_size",
        "request_headers_to_add",
        "request_headers_to_remove",
        "expected_statuses",
        "retriable_statuses",
        "codec_client_type",
        "service_name_matcher",
        "method",
    ],
    refused: &[],
};

pub(in crate::config) const TCP_HEALTH_CHECK: Schema = Schema {
    message: "envoy.config.core.v3.HealthCheck.TcpHealthCheck",
    note: "",
    supported: &["send", "receive"],
    refused: &["proxy_protocol_config"],
};

pub(in crate::config) const GRPC_HEALTH_CHECK: Schema = Schema {
    message: "envoy.config.core.v3.HealthCheck.GrpcHealthCheck",
    note: "",
    supported: &["service_name", "authority", "initial_metadata"],
    refused: &[],
};

pub(in crate::config) const PAYLOAD: Schema = Schema {
    message: "envoy.config.core.v3.HealthCheck.Payload",
    note: "",
    supported: &["text"],
    refused: &["binary"],
};

pub(in crate::config) const OUTLIER_DETECTION: Schema = Schema {
    message: "envoy.config.cluster.v3.OutlierDetection",
    note: "",
    supported: &[
        "consecutive_5xx",
        "interval",
        "base_ejection_time",
        "max_ejection_percent",
        "enforcing_consecutive_5xx",
        "enforcing_success_rate",
        "success_rate_minimum_hosts",
        "success_rate_request_volume",
        "success_rate_stdev_factor",
        "consecutive_gateway_failure",
        "enforcing_consecutive_gateway_failure",
        "split_external_local_origin_errors",
        "consecutive_local_origin_failure",
        "enforcing_consecutive_local_origin_failure",
        "enforcing_local_origin_success_rate",
        "failure_percentage_threshold",
        "enforcing_failure_percentage",
        "enforcing_failure_percentage_local_origin",
        "failure_percentage_minimum_hosts",
        "failure_percentage_request_volume",
        "max_ejection_time",
        "max_ejection_time_jitter",
        "successful_active_health_check_uneject_host",
        "always_eject_one_host",
    ],
    refused: &["detect_degraded_hosts", "monitors"],
};

pub(super) const ALL: &[&Schema] = &[
    &COMMON_LB,
    &PERCENT,
    &ENDPOINT_HEALTH_CHECK,
    &HEALTH_CHECK,
    &HTTP_HEALTH_CHECK,
    &TCP_HEALTH_CHECK,
    &GRPC_HEALTH_CHECK,
    &PAYLOAD,
    &OUTLIER_DETECTION,
];
