//! Names that Envoy always shows, of mechanisms that are not here.
//!
//! Dashboards and alerts ask for them, and Envoy too shows 0 as long as the mechanism is not
//! configured, which it can't be here: the configuration reader refuses it. A name of something
//! that happens here does not belong in these lists: it is counted where it happens.
//! `docs/envoy-compatibility.md` says what is missing.

use front_proxy_layers::stats::{Scope, Unit};

/// Registers those of a cluster; `scope` is `cluster.<name>`.
pub(crate) fn cluster(scope: &Scope) {
    register(scope, CLUSTER_COUNTERS, CLUSTER_GAUGES);
}

/// Registers those of a connection manager; `scope` is `http.<prefix>`.
pub(crate) fn connection_manager(scope: &Scope) {
    register(scope, HTTP_COUNTERS, HTTP_GAUGES);
    register(scope, PASSTHROUGH_REDIRECTS, &[]);
}

/// Registers those of a fault filter; `scope` is `http.<prefix>`. Response rates are not limited.
pub(crate) fn fault(scope: &Scope) {
    register(&scope.child("fault"), &["response_rl_injected"], &[]);
}

/// Registers those of a local rate limit; `scope` is its prefix. It has no descriptors, so none
/// whose limit is only tried.
pub(crate) fn local_rate_limit(scope: &Scope) {
    register(&scope.child("http_local_rate_limit"), &["shadow_mode"], &[]);
}

/// Registers those of a listener; `scope` is `listener.<address>`.
pub(crate) fn listener(scope: &Scope, tls: bool) {
    register(scope, LISTENER_COUNTERS, &[]);
    if tls {
        register(scope, TLS_COUNTERS, &[]);
    }
}

/// Registers those of the process.
pub(crate) fn process(root: &Scope) {
    register(root, PROCESS_COUNTERS, PROCESS_GAUGES);
    // The client for calls of Envoy's own: none of them is here.
    let client = root.child("http").tagged("envoy_http_conn_manager_prefix", "async-client");
    register(&client, ASYNC_CLIENT_COUNTERS, &[]);
    register(&client, PASSTHROUGH_REDIRECTS, &[]);
    drop(root.child("overload").histogram("refresh_interval_delay", Unit::Milliseconds));
}

fn register(scope: &Scope, counters: &[&str], gauges: &[&str]) {
    for name in counters {
        drop(scope.counter(name));
    }
    for name in gauges {
        drop(scope.gauge(name));
    }
}

/// No EDS, subsets, zones, original destinations, HTTP/3, preconnecting, internal redirects or
/// maintenance mode; flow control is that of the codecs, which do not count it.
const CLUSTER_COUNTERS: &[&str] = &[
    "assignment_stale",
    "assignment_timeout_received",
    "assignment_use_cached",
    "lb_local_cluster_not_ok",
    "lb_recalculate_zone_structures",
    "lb_subsets_created",
    "lb_subsets_fallback",
    "lb_subsets_fallback_panic",
    "lb_subsets_removed",
    "lb_subsets_selected",
    "lb_zone_cluster_too_small",
    "lb_zone_no_capacity_left",
    "lb_zone_routing_all_directly",
    "lb_zone_routing_cross_zone",
    "lb_zone_routing_sampled",
    "original_dst_host_invalid",
    "upstream_cx_connect_with_0_rtt",
    "upstream_cx_http3_total",
    "upstream_cx_preconnect_skipped",
    "upstream_flow_control_backed_up_total",
    "upstream_flow_control_drained_total",
    "upstream_flow_control_paused_reading_total",
    "upstream_flow_control_resumed_reading_total",
    "upstream_http3_broken",
    "upstream_internal_redirect_failed_total",
    "upstream_internal_redirect_succeeded_total",
    "upstream_rq_0rtt",
    "upstream_rq_maintenance_mode",
    "upstream_rq_rx_reset_no_error",
];

const CLUSTER_GAUGES: &[&str] = &[
    "lb_subsets_active",
    "upstream_cx_rx_bytes_buffered",
    "upstream_cx_tx_bytes_buffered",
    "upstream_queue_overloaded",
];

/// No HTTP/3, overload manager, IP detection, watermarks or tracing. Envoy has the resets after a
/// response had begun in `downstream_rq_tx_reset`, and so have we; the other name stays 0 there too.
const HTTP_COUNTERS: &[&str] = &[
    "downstream_cx_http3_total",
    "downstream_cx_overload_disable_keepalive",
    "downstream_flow_control_paused_reading_total",
    "downstream_flow_control_resumed_reading_total",
    "downstream_rq_http3_total",
    "downstream_rq_overload_close",
    "downstream_rq_rejected_via_ip_detection",
    "downstream_rq_too_many_premature_resets",
    "rq_overload_local_reply",
    "rq_reset_after_downstream_response_started",
    "rs_too_large",
    "tracing.client_enabled",
    "tracing.health_check",
    "tracing.not_traceable",
    "tracing.random_sampling",
    "tracing.service_forced",
];

const HTTP_GAUGES: &[&str] = &["downstream_cx_http1_soft_drain", "downstream_cx_http3_active"];

const PASSTHROUGH_REDIRECTS: &[&str] = &[
    "passthrough_internal_redirect_bad_location",
    "passthrough_internal_redirect_no_route",
    "passthrough_internal_redirect_predicate",
    "passthrough_internal_redirect_too_many_redirects",
    "passthrough_internal_redirect_unsafe_scheme",
];

/// No overload manager, listener filters or configuration discovery.
const LISTENER_COUNTERS: &[&str] = &[
    "downstream_cx_overload_reject",
    "downstream_cx_transport_socket_connect_timeout",
    "downstream_global_cx_overflow",
    "downstream_listener_filter_error",
    "downstream_listener_filter_remote_close",
    "downstream_pre_cx_timeout",
    "extension_config_missing",
    "network_extension_config_missing",
];

/// No secret discovery, pinned certificates or OCSP.
const TLS_COUNTERS: &[&str] = &[
    "server_ssl_socket_factory.downstream_context_secrets_not_ready",
    "server_ssl_socket_factory.ssl_context_update_by_sds",
    "server_ssl_socket_factory.upstream_context_secrets_not_ready",
    "ssl.fail_verify_cert_hash",
    "ssl.fail_verify_san",
    "ssl.ocsp_staple_failed",
    "ssl.ocsp_staple_omitted",
    "ssl.ocsp_staple_requests",
    "ssl.ocsp_staple_responses",
];

/// Clusters and listeners are those of the start, and HTTP/1 messages carry no metadata.
const PROCESS_COUNTERS: &[&str] = &[
    "cluster_manager.cluster_updated_via_merge",
    "cluster_manager.update_merge_cancelled",
    "cluster_manager.update_out_of_merge_window",
    "envoy.overload_actions.reset_high_memory_stream.count",
    "http1.metadata_not_supported_error",
    "http1.response_flood",
    "listener_manager.listener_create_failure",
    "listener_manager.listener_in_place_updated",
    "listener_manager.listener_modified",
    "listener_manager.listener_removed",
    "runtime.deprecated_feature_use",
    "runtime.load_error",
    "runtime.override_dir_exists",
];

const PROCESS_GAUGES: &[&str] = &[
    "listener_manager.total_filter_chains_draining",
    "listener_manager.workers_pinned",
    "runtime.admin_overrides_active",
    "runtime.deprecated_feature_seen_since_process_start",
];

const ASYNC_CLIENT_COUNTERS: &[&str] = &[
    "no_cluster",
    "no_route",
    "rq_direct_response",
    "rq_overload_local_reply",
    "rq_redirect",
    "rq_reset_after_downstream_response_started",
    "rq_total",
];
