//! What a configuration says of the health of endpoints, and what is wrong with it.

use std::time::Duration;

use front_proxy::config::load_str;
use front_proxy::config::model::*;
use front_proxy_layers::health_check::{Codec, Payload, Probe};
use http::Method;

/// A bootstrap with one cluster, whose fields begin in the third column of the third line.
fn text(fields: &str) -> String {
    let fields = fields.replace('\n', "\n    ");
    format!("static_resources:\n  clusters:\n  - {fields}\n    name: c\n")
}

fn cluster(fields: &str) -> Cluster {
    load_str("f.yaml", &text(fields)).unwrap_or_else(|e| panic!("{e}")).clusters.remove(0)
}

/// The mistakes, each as `line:column message`.
fn mistakes(fields: &str) -> Vec<String> {
    let errors = load_str("f.yaml", &text(fields)).expect_err("this should be refused");
    let place = |place: Option<(&str, usize, usize)>| {
        place.map_or(String::new(), |(_, line, column)| format!("{line}:{column} "))
    };
    errors.iter().map(|e| format!("{}{}", place(e.place()), e.message())).collect()
}

const SECOND: Duration = Duration::from_secs(1);
const REQUIRED: &str = "timeout: 1s, interval: 2s, unhealthy_threshold: 3, healthy_threshold: 4";

#[test]
fn without_a_word_on_health_there_are_envoys_defaults() {
    let c = cluster("type: STATIC");
    assert_eq!(c.health, HealthOptions::default());
    assert_eq!((c.health.panic_threshold, c.health.overprovisioning_factor), (50, 140));
    assert!(c.health_check.is_none() && c.outlier.is_none());
}

#[test]
fn what_health_means_is_read() {
    let c = cluster(
        "common_lb_config: {healthy_panic_threshold: {value: 33.5}, ignore_new_hosts_until_first_hc: true}
ignore_health_on_host_removal: true
close_connections_on_host_health_failure: true
load_assignment:
  cluster_name: c
  policy: {overprovisioning_factor: 100, weighted_priority_health: true}
  endpoints:
  - lb_endpoints:
    - endpoint:
        address: {socket_address: {address: 127.0.0.1, port_value: 1}}
        health_check_config: {port_value: 2, hostname: h}
      health_status: DEGRADED
    - endpoint:
        address: {socket_address: {address: 127.0.0.1, port_value: 1}}
        health_check_config:
          address: {socket_address: {address: 127.0.0.2, port_value: 3}}
          disable_active_health_check: true",
    );
    let expected = HealthOptions {
        panic_threshold: 34,
        overprovisioning_factor: 100,
        weighted_priority_health: true,
        ignore_new_until_checked: true,
        ignore_health_on_removal: true,
        close_connections_on_failure: true,
    };
    assert_eq!(c.health, expected);
    let [first, second] = &c.endpoints[..] else { panic!("{:?}", c.endpoints) };
    assert_eq!((first.status, second.status), (HealthStatus::Degraded, HealthStatus::Unknown));
    let first = first.checking.clone().unwrap();
    assert_eq!(
        (first.port, first.hostname.as_deref(), first.disabled),
        (Some(2), Some("h"), false)
    );
    let second = second.checking.clone().unwrap();
    assert_eq!((second.ip.unwrap().to_string().as_str(), second.port), ("127.0.0.2", Some(3)));
    assert!(second.disabled);
}

#[test]
fn health_checks_are_read() {
    let c = cluster(&format!(
        "health_checks:
- {{{REQUIRED}, http_health_check: {{path: /healthz}}}}"
    ));
    let check = c.health_check.unwrap();
    assert_eq!((check.timeout, check.interval), (SECOND, 2 * SECOND));
    assert_eq!((check.unhealthy_threshold, check.healthy_threshold), (3, 4));
    assert_eq!(check.no_traffic_interval, 60 * SECOND);
    assert_eq!(check.unhealthy_interval, None);
    assert!(check.reuse_connection && !check.always_log_failures);
    let Probe::Http(probe) = check.probe else { panic!("{check:?}") };
    assert_eq!((probe.path.as_str(), probe.host, probe.method), ("/healthz", None, Method::GET));
    assert_eq!((probe.response_buffer_size, probe.codec), (1024, Codec::Http1));

    let c = cluster(&format!(
        "health_checks:
  {REQUIRED_LINES}
  initial_jitter: 1s
  interval_jitter: 2s
  interval_jitter_percent: 3
  no_traffic_interval: 4s
  no_traffic_healthy_interval: 5s
  unhealthy_interval: 6s
  unhealthy_edge_interval: 7s
  healthy_edge_interval: 8s
  reuse_connection: false
  always_log_health_check_failures: true
  http_health_check:
    path: /a?b
    host: h:80
    method: PUT
    codec_client_type: HTTP2
    send: {{text: '0aFF'}}
    receive: [{{text: '61'}}, {{text: '6263'}}]
    response_buffer_size: 3
    expected_statuses: [{{start: 200, end: 300}}]
    retriable_statuses: {{start: 503, end: 504}}
    service_name_matcher: {{prefix: x}}
    request_headers_to_add: {{header: {{key: a, value: b}}}}
    request_headers_to_remove: user-agent"
    ));
    let check = c.health_check.unwrap();
    assert_eq!((check.initial_jitter, check.interval_jitter), (SECOND, 2 * SECOND));
    assert_eq!((check.interval_jitter_percent, check.no_traffic_interval), (3, 4 * SECOND));
    assert_eq!(check.no_traffic_healthy_interval, Some(5 * SECOND));
    assert_eq!(check.unhealthy_interval, Some(6 * SECOND));
    assert_eq!(check.unhealthy_edge_interval, Some(7 * SECOND));
    assert_eq!(check.healthy_edge_interval, Some(8 * SECOND));
    assert!(!check.reuse_connection && check.always_log_failures);
    let Probe::Http(probe) = check.probe else { panic!("{check:?}") };
    assert_eq!((probe.host.as_deref(), probe.method), (Some("h:80"), Method::PUT));
    assert_eq!((&probe.send[..], probe.codec), (&[0x0a, 0xff][..], Codec::Http2));
    assert_eq!(probe.receive, Payload::new(["a", "bc"].map(Into::into)));
    let ranges = [probe.expected_statuses, probe.retriable_statuses].concat();
    assert_eq!(ranges, [200..300, 503..504]);
    assert!(probe.service_name.unwrap().matches(b"xy") && !probe.headers.is_empty());
}

const REQUIRED_LINES: &str = "timeout: 1s
  interval: 2s
  unhealthy_threshold: 3
  healthy_threshold: 4";

#[test]
fn other_probes_are_read() {
    let c = cluster(&format!(
        "health_checks: {{{REQUIRED}, tcp_health_check: {{send: {{text: '00'}}, receive: {{text: '01'}}}}}}"
    ));
    let Some(Probe::Tcp(probe)) = c.health_check.map(|check| check.probe) else { panic!() };
    assert_eq!((&probe.send[..], probe.receive.len()), (&[0][..], 1));
    let c = cluster(&format!(
        "http2_protocol_options: {{}}
health_checks: {{{REQUIRED}, grpc_health_check: {{service_name: s, authority: a}}}}"
    ));
    let Some(Probe::Grpc(probe)) = c.health_check.map(|check| check.probe) else { panic!() };
    assert_eq!((probe.service_name.as_str(), probe.authority.as_deref()), ("s", Some("a")));
}

#[test]
fn outlier_detection_is_read() {
    assert_eq!(cluster("outlier_detection: {}").outlier, Some(OutlierDetection::default()));
    let c = cluster(
        "outlier_detection:
  consecutive_5xx: 1
  enforcing_consecutive_5xx: 2
  consecutive_gateway_failure: 3
  enforcing_consecutive_gateway_failure: 4
  split_external_local_origin_errors: true
  consecutive_local_origin_failure: 5
  enforcing_consecutive_local_origin_failure: 6
  interval: 7s
  base_ejection_time: 8s
  max_ejection_time: 9s
  max_ejection_time_jitter: 10s
  max_ejection_percent: 11
  always_eject_one_host: true
  success_rate_minimum_hosts: 12
  success_rate_request_volume: 13
  success_rate_stdev_factor: 14
  enforcing_success_rate: 15
  enforcing_local_origin_success_rate: 16
  failure_percentage_threshold: 17
  failure_percentage_minimum_hosts: 18
  failure_percentage_request_volume: 19
  enforcing_failure_percentage: 20
  enforcing_failure_percentage_local_origin: 21
  successful_active_health_check_uneject_host: false",
    );
    let expected = OutlierDetection {
        consecutive_5xx: 1,
        enforcing_consecutive_5xx: 2,
        consecutive_gateway_failure: 3,
        enforcing_consecutive_gateway_failure: 4,
        split_local_origin: true,
        consecutive_local_origin_failure: 5,
        enforcing_consecutive_local_origin_failure: 6,
        interval: 7 * SECOND,
        base_ejection_time: 8 * SECOND,
        max_ejection_time: Some(9 * SECOND),
        max_ejection_time_jitter: 10 * SECOND,
        max_ejection_percent: 11,
        always_eject_one: true,
        success_rate_minimum_hosts: 12,
        success_rate_request_volume: 13,
        success_rate_stdev_factor: 14,
        enforcing_success_rate: 15,
        enforcing_local_origin_success_rate: 16,
        failure_percentage_threshold: 17,
        failure_percentage_minimum_hosts: 18,
        failure_percentage_request_volume: 19,
        enforcing_failure_percentage: 20,
        enforcing_failure_percentage_local_origin: 21,
        health_check_ends_ejection: false,
    };
    assert_eq!(c.outlier, Some(expected));
}

#[test]
fn the_runtime_is_beside_fields() {
    let layers = "layered_runtime:\n  layers:\n  - name: a\n    static_layer:\n      \
                  upstream: {healthy_panic_threshold: 7}\n      \
                  outlier_detection: {consecutive_5xx: 8, interval_ms: 9000}\n";
    let text = format!("{layers}{}", text("outlier_detection: {consecutive_5xx: 1}"));
    let b = load_str("f.yaml", &text).unwrap_or_else(|e| panic!("{e}"));
    let key = |name| b.runtime.key(name).integer();
    assert_eq!(key("upstream.healthy_panic_threshold"), Some(7));
    assert_eq!(key("outlier_detection.consecutive_5xx"), Some(8));
    let outlier = b.clusters[0].outlier.as_ref().unwrap();
    assert_eq!((outlier.consecutive_5xx, outlier.interval), (1, 10 * SECOND), "as it is written");
}

#[test]
fn checks_must_make_sense() {
    assert_eq!(
        mistakes("health_checks: {timeout: 0s, http_health_check: {}}"),
        [
            "3:20 `interval` is required in `HealthCheck`",
            "3:20 `unhealthy_threshold` is required in `HealthCheck`",
            "3:20 `healthy_threshold` is required in `HealthCheck`",
            "3:30 `timeout` must be more than 0s",
            "3:53 `path` is required in `HttpHealthCheck`",
        ]
    );
    let check = |probe: &str| mistakes(&format!("health_checks: {{{REQUIRED}, {probe}}}"));
    let only = |probe: &str| {
        let mut mistakes = check(probe);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        mistakes.remove(0).split_once(' ').unwrap().1.to_owned()
    };
    assert_eq!(only("alt_port: 1, tcp_health_check: {}"), "`alt_port` is not supported yet");
    assert_eq!(only("tls_options: {}, tcp_health_check: {}"), "`tls_options` is not supported yet");
    assert_eq!(
        only("grpc_health_check: {}"),
        "a cluster that is checked by gRPC must speak HTTP/2"
    );
    assert_eq!(only("http_health_check: {path: healthz}"), "`healthz` is not a path");
    assert_eq!(only("http_health_check: {path: /, host: 'a b'}"), "`a b` is not a host");
    assert_eq!(
        only("http_health_check: {path: /, send: {text: '00'}}"),
        "a health check can't send a body with the method GET"
    );
    assert_eq!(
        only("http_health_check: {path: /, response_buffer_size: 1, receive: {text: '0000'}}"),
        "what is expected is longer than `response_buffer_size`"
    );
    assert_eq!(
        only("http_health_check: {path: /, expected_statuses: {start: 300, end: 300}}"),
        "the range of statuses ends at 300, before it begins"
    );
    assert_eq!(
        only("tcp_health_check: {send: {text: '0x0'}}"),
        "`0x0` is not a hexadecimal string"
    );
    assert_eq!(
        only("http_health_check: {path: /, codec_client_type: HTTP3}"),
        "`codec_client_type: HTTP3` is not supported yet"
    );
    let two = format!(
        "health_checks: [{{{REQUIRED}, tcp_health_check: {{}}}}, {{{REQUIRED}, tcp_health_check: {{}}}}]"
    );
    assert_eq!(mistakes(&two), ["3:118 a cluster can have one health check only"]);
}

#[test]
fn outliers_and_panic_have_limits() {
    assert_eq!(
        mistakes(
            "outlier_detection: {max_ejection_percent: 101, interval: 0s, monitors: []}
common_lb_config: {healthy_panic_threshold: {value: 100.5}, update_merge_window: 1s}"
        ),
        [
            "3:47 `max_ejection_percent` must be between 0 and 100, not 101",
            "3:62 `interval` must be more than 0s",
            "3:66 `monitors` is not supported yet",
            "4:57 `value` must be between 0 and 100, not 100.5",
            "4:65 `update_merge_window` is not supported yet",
        ]
    );
    assert_eq!(
        mistakes("outlier_detection: {base_ejection_time: 2s, max_ejection_time: 1s}"),
        ["3:68 `max_ejection_time` must not be smaller than `base_ejection_time`"]
    );
}
