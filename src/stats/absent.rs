//! Names that Envoy always shows, of things that are not here.
//!
//! Dashboards and alerts ask for them. Most belong to what the configuration reader refuses, and
//! Envoy too shows 0 as long as it is not configured; the others are named with what hides them. A
//! name of something that happens and is seen here does not belong in these lists: it is counted
//! where it happens. `docs/envoy-compatibility.md` shows all of them, which a test keeps true.

use front_proxy_layers::stats::{Scope, Unit};

/// Names with one reason.
pub(crate) struct Group {
    /// Why they stay 0.
    #[cfg_attr(not(test), expect(dead_code, reason = "the documentation tells it"))]
    why: &'static str,
    counters: &'static [&'static str],
    gauges: &'static [&'static str],
}

/// Registers those of a cluster; `scope` is `cluster.<name>`.
pub(crate) fn cluster(scope: &Scope, tls: bool) {
    register(scope, CLUSTER);
    if tls {
        register(&scope.child("client_ssl_socket_factory"), SOCKET_FACTORY);
        register(&scope.child("ssl"), TLS);
    }
}

/// Registers those of a connection manager; `scope` is `http.<prefix>`.
pub(crate) fn connection_manager(scope: &Scope) {
    register(scope, HTTP);
    register(scope, HTTP_PROXY);
}

/// Registers those of fault filters; `scope` is `http.<prefix>`.
pub(crate) fn fault(scope: &Scope) {
    register(&scope.child("fault"), FAULT);
}

/// Registers those of a local rate limit; `scope` is its prefix.
pub(crate) fn local_rate_limit(scope: &Scope) {
    register(&scope.child("http_local_rate_limit"), LOCAL_RATE_LIMIT);
}

/// Registers those of a listener; `scope` is `listener.<address>`.
pub(crate) fn listener(scope: &Scope, tls: bool) {
    register(scope, LISTENER);
    register(scope, LISTENER_PROXY);
    if tls {
        register(&scope.child("server_ssl_socket_factory"), SOCKET_FACTORY);
        register(&scope.child("ssl"), TLS);
    }
}

/// Registers those of the admin's listener, which are fewer.
pub(crate) fn admin(http: &Scope, listener: &Scope) {
    register(http, HTTP);
    register(http, ADMIN);
    register(listener, LISTENER);
}

/// Registers those of the process.
pub(crate) fn process(root: &Scope) {
    register(root, PROCESS);
    // The client for calls of Envoy's own: none of them is here.
    let client = root.child("http").tagged("envoy_http_conn_manager_prefix", "async-client");
    register(&client, ASYNC_CLIENT);
    drop(root.child("overload").histogram("refresh_interval_delay", Unit::Milliseconds));
}

fn register(scope: &Scope, groups: &[Group]) {
    for group in groups {
        for name in group.counters {
            drop(scope.counter(name));
        }
        for name in group.gauges {
            drop(scope.gauge(name));
        }
    }
}

const fn zero(
    why: &'static str,
    counters: &'static [&'static str],
    gauges: &'static [&'static str],
) -> Group {
    Group { why, counters, gauges }
}

const CLUSTER: &[Group] = &[
    zero(
        "no EDS",
        &["assignment_stale", "assignment_timeout_received", "assignment_use_cached"],
        &[],
    ),
    zero("no `upstream_bind_config`", &["bind_errors"], &[]),
    zero("no clusters from an API", &[], &["version"]),
    zero(
        "no subsets",
        &[
            "lb_subsets_created",
            "lb_subsets_fallback",
            "lb_subsets_fallback_panic",
            "lb_subsets_removed",
            "lb_subsets_selected",
        ],
        &["lb_subsets_active"],
    ),
    zero(
        "no zone aware routing",
        &[
            "lb_local_cluster_not_ok",
            "lb_recalculate_zone_structures",
            "lb_zone_cluster_too_small",
            "lb_zone_no_capacity_left",
            "lb_zone_routing_all_directly",
            "lb_zone_routing_cross_zone",
            "lb_zone_routing_sampled",
        ],
        &[],
    ),
    zero("no `ORIGINAL_DST`", &["original_dst_host_invalid"], &[]),
    zero("no TCP proxy", &["upstream_cx_connect_attempts_exceeded"], &[]),
    zero(
        "no HTTP/3 and no early data",
        &[
            "upstream_cx_connect_with_0_rtt",
            "upstream_cx_http3_total",
            "upstream_http3_broken",
            "upstream_rq_0rtt",
        ],
        &[],
    ),
    zero("no `max_connection_pools`", &["upstream_cx_pool_overflow"], &[]),
    zero("no `preconnect_policy`", &["upstream_cx_preconnect_skipped"], &[]),
    zero(
        "no `internal_redirect_policy`",
        &["upstream_internal_redirect_failed_total", "upstream_internal_redirect_succeeded_total"],
        &[],
    ),
    zero("no `rate_limited_retry_back_off`", &["upstream_rq_retry_backoff_ratelimited"], &[]),
    zero("no policy for queues of requests", &[], &["upstream_queue_overloaded"]),
    // Seen with Envoy 1.40 for each end of a response that there is: what is left of the request is
    // reset by Envoy itself, in `upstream_rq_tx_reset`.
    zero(
        "0 in Envoy too: when a response has ended, it resets the request before such a reset is read",
        &["upstream_rq_rx_reset_no_error"],
        &[],
    ),
];

/// Of every connection manager, the admin's too.
const HTTP: &[Group] = &[
    zero(
        "no HTTP/3",
        &["downstream_cx_http3_total", "downstream_rq_http3_total"],
        &["downstream_cx_http3_active"],
    ),
    zero(
        "no overload manager",
        &["downstream_cx_overload_disable_keepalive", "downstream_rq_overload_close"],
        &[],
    ),
    zero(
        "no `original_ip_detection_extensions`",
        &["downstream_rq_rejected_via_ip_detection"],
        &[],
    ),
    zero("no filter that holds a whole response", &["rs_too_large"], &[]),
    zero("no `http1_safe_max_connection_duration`", &[], &["downstream_cx_http1_soft_drain"]),
];

const REDIRECTS: &[&str] = &[
    "passthrough_internal_redirect_bad_location",
    "passthrough_internal_redirect_no_route",
    "passthrough_internal_redirect_predicate",
    "passthrough_internal_redirect_too_many_redirects",
    "passthrough_internal_redirect_unsafe_scheme",
];

const HTTP_PROXY: &[Group] = &[
    zero("no `internal_redirect_policy`", REDIRECTS, &[]),
    zero("no overload manager", &["rq_overload_local_reply"], &[]),
    zero("counts only where there is a `HealthCheck` filter", &["tracing.health_check"], &[]),
    zero(
        "no tracing",
        &[
            "tracing.client_enabled",
            "tracing.not_traceable",
            "tracing.random_sampling",
            "tracing.service_forced",
        ],
        &[],
    ),
    // Envoy 1.40 was seen to count these in `downstream_rq_tx_reset` alone.
    zero("0 in Envoy too", &["rq_reset_after_downstream_response_started"], &[]),
];

const ADMIN: &[Group] = &[zero(
    "no upgrades on the admin's listener",
    &["downstream_cx_upgrades_total", "downstream_rq_ws_on_non_ws_route"],
    &["downstream_cx_upgrades_active"],
)];

/// Of every listener, the admin's too.
const LISTENER: &[Group] = &[
    zero(
        "no overload manager",
        &["downstream_cx_overload_reject", "downstream_global_cx_overflow"],
        &[],
    ),
    zero(
        "no `transport_socket_connect_timeout`",
        &["downstream_cx_transport_socket_connect_timeout"],
        &[],
    ),
    zero(
        "no listener filter that could wait or fail",
        &[
            "downstream_listener_filter_error",
            "downstream_listener_filter_remote_close",
            "downstream_pre_cx_timeout",
        ],
        &[],
    ),
];

const LISTENER_PROXY: &[Group] = &[zero(
    "no extension configuration discovery",
    &["extension_config_missing", "network_extension_config_missing"],
    &[],
)];

const SOCKET_FACTORY: &[Group] = &[zero(
    "no SDS; `ssl_context_update_by_sds` counts files that were taken anew, where there are any",
    &[
        "downstream_context_secrets_not_ready",
        "ssl_context_update_by_sds",
        "upstream_context_secrets_not_ready",
    ],
    &[],
)];

const TLS: &[Group] = &[
    zero("no pinned certificates", &["fail_verify_cert_hash"], &[]),
    zero(
        "no OCSP",
        &[
            "ocsp_staple_failed",
            "ocsp_staple_omitted",
            "ocsp_staple_requests",
            "ocsp_staple_responses",
        ],
        &[],
    ),
];

const PROCESS: &[Group] = &[
    zero(
        "no `update_merge_window`: nothing is gathered",
        &[
            "cluster_manager.cluster_updated_via_merge",
            "cluster_manager.update_merge_cancelled",
            "cluster_manager.update_out_of_merge_window",
        ],
        &[],
    ),
    zero(
        "clusters and listeners are those of the start",
        &[
            "listener_manager.listener_create_failure",
            "listener_manager.listener_in_place_updated",
            "listener_manager.listener_modified",
            "listener_manager.listener_removed",
            "server.dynamic_unknown_fields",
        ],
        &["listener_manager.total_filter_chains_draining", "listener_manager.workers_pinned"],
    ),
    zero(
        "no overload manager (with the histogram `overload.refresh_interval_delay`)",
        &["envoy.overload_actions.reset_high_memory_stream.count"],
        &[],
    ),
    zero("no OCSP", &[], &["server.seconds_until_first_ocsp_response_expiring"]),
    zero(
        "nothing of the kind can happen in the program",
        &[
            "http1.metadata_not_supported_error",
            "http1.response_flood",
            "server.debug_assertion_failures",
            "server.dropped_stat_flushes",
            "server.envoy_bug_failures",
            "server.envoy_notifications",
            "server.wip_protos",
        ],
        &[],
    ),
];

const FAULT: &[Group] = &[zero("no `response_rate_limit`", &["response_rl_injected"], &[])];

const LOCAL_RATE_LIMIT: &[Group] = &[zero("no `descriptors`", &["shadow_mode"], &[])];

const ASYNC_CLIENT: &[Group] = &[
    zero("no `internal_redirect_policy`", REDIRECTS, &[]),
    zero(
        "no call of the proxy's own",
        &[
            "no_cluster",
            "no_route",
            "rq_direct_response",
            "rq_overload_local_reply",
            "rq_redirect",
            "rq_reset_after_downstream_response_started",
            "rq_total",
        ],
        &[],
    ),
];

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const BEGIN: &str = "<!-- zeros: begin -->\n";
    const END: &str = "<!-- zeros: end -->\n";

    fn table() -> String {
        let mut out = String::from("| Below | Names | Why 0 |\n|---|---|---|\n");
        for (scope, groups) in [
            ("`cluster.<name>`", CLUSTER),
            ("`http.<prefix>`, `http.admin`", HTTP),
            ("`http.<prefix>`", HTTP_PROXY),
            ("`http.admin`", ADMIN),
            ("`http.<prefix>.fault`", FAULT),
            ("`<prefix>.http_local_rate_limit`", LOCAL_RATE_LIMIT),
            ("`http.async-client`", ASYNC_CLIENT),
            ("`listener.<address>`, `listener.admin`", LISTENER),
            ("`listener.<address>`", LISTENER_PROXY),
            (
                "`cluster.<name>.client_ssl_socket_factory`, \
                 `listener.<address>.server_ssl_socket_factory`",
                SOCKET_FACTORY,
            ),
            ("`cluster.<name>.ssl`, `listener.<address>.ssl`", TLS),
            ("", PROCESS),
        ] {
            for group in groups {
                let names = group.counters.iter().chain(group.gauges);
                let names = names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                writeln!(out, "| {scope} | {names} | {} |", group.why).expect("written");
            }
        }
        out
    }

    /// To write the table anew: `UPDATE_DOCS=1 cargo test --lib absent`.
    #[test]
    fn the_documentation_lists_every_name_with_its_reason() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/envoy-compatibility.md");
        let text = std::fs::read_to_string(path).expect("the documentation");
        let (head, rest) = text.split_once(BEGIN).expect("the mark before the table");
        let (found, tail) = rest.split_once(END).expect("the mark after the table");
        let expected = table();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, format!("{head}{BEGIN}{expected}{END}{tail}")).expect("written");
        } else {
            assert_eq!(found, expected, "run with UPDATE_DOCS=1 to write the table anew");
        }
    }
}
