//! Outlier detection of a cluster.

use std::time::Duration;

use front_proxy_layers::outlier::OutlierDetection;

use crate::config::message::Message;
use crate::config::schema::health::OUTLIER_DETECTION;

/// `outlier_detection` of a cluster, where given.
pub(super) fn outlier_detection(cluster: &Message<'_>) -> Option<OutlierDetection> {
    let m = cluster.message("outlier_detection", &OUTLIER_DETECTION)?;
    let default = OutlierDetection::default();
    let read = |name, most, default| {
        // The runtime goes before the field.
        let runtime = m.cx.runtime_number(&format!("outlier_detection.{name}"));
        let field = m.u32_in(name, 0..=most);
        runtime.map(|value| value as u32).or(field).unwrap_or(default)
    };
    let number = |name, default| read(name, i64::from(u32::MAX), default);
    let percent = |name, default| read(name, 100, default);
    let time = |name, field: Option<Duration>| {
        let runtime = m.cx.runtime_number(&format!("outlier_detection.{name}_ms"));
        runtime.map(|ms| Duration::from_millis(ms as u64)).or(field)
    };
    let base_ejection_time = time("base_ejection_time", m.positive_duration("base_ejection_time"))
        .unwrap_or(default.base_ejection_time);
    let max_ejection_time = time("max_ejection_time", m.positive_duration("max_ejection_time"));
    if max_ejection_time.is_some_and(|max| max < base_ejection_time) {
        let message = "`max_ejection_time` must not be smaller than `base_ejection_time`";
        m.cx.error(m.place_of("max_ejection_time"), message);
    }
    let out = OutlierDetection {
        consecutive_5xx: number("consecutive_5xx", default.consecutive_5xx),
        enforcing_consecutive_5xx: percent(
            "enforcing_consecutive_5xx",
            default.enforcing_consecutive_5xx,
        ),
        consecutive_gateway_failure: number(
            "consecutive_gateway_failure",
            default.consecutive_gateway_failure,
        ),
        enforcing_consecutive_gateway_failure: percent(
            "enforcing_consecutive_gateway_failure",
            default.enforcing_consecutive_gateway_failure,
        ),
        split_local_origin: m.bool("split_external_local_origin_errors"),
        consecutive_local_origin_failure: number(
            "consecutive_local_origin_failure",
            default.consecutive_local_origin_failure,
        ),
        enforcing_consecutive_local_origin_failure: percent(
            "enforcing_consecutive_local_origin_failure",
            default.enforcing_consecutive_local_origin_failure,
        ),
        interval: time("interval", m.positive_duration("interval")).unwrap_or(default.interval),
        base_ejection_time,
        max_ejection_time,
        max_ejection_time_jitter: time(
            "max_ejection_time_jitter",
            m.duration("max_ejection_time_jitter"),
        )
        .unwrap_or_default(),
        max_ejection_percent: percent("max_ejection_percent", default.max_ejection_percent),
        always_eject_one: m.bool("always_eject_one_host"),
        success_rate_minimum_hosts: number(
            "success_rate_minimum_hosts",
            default.success_rate_minimum_hosts,
        ),
        success_rate_request_volume: number(
            "success_rate_request_volume",
            default.success_rate_request_volume,
        ),
        success_rate_stdev_factor: number(
            "success_rate_stdev_factor",
            default.success_rate_stdev_factor,
        ),
        enforcing_success_rate: percent("enforcing_success_rate", default.enforcing_success_rate),
        enforcing_local_origin_success_rate: percent(
            "enforcing_local_origin_success_rate",
            default.enforcing_local_origin_success_rate,
        ),
        failure_percentage_threshold: percent(
            "failure_percentage_threshold",
            default.failure_percentage_threshold,
        ),
        failure_percentage_minimum_hosts: number(
            "failure_percentage_minimum_hosts",
            default.failure_percentage_minimum_hosts,
        ),
        failure_percentage_request_volume: number(
            "failure_percentage_request_volume",
            default.failure_percentage_request_volume,
        ),
        enforcing_failure_percentage: percent(
            "enforcing_failure_percentage",
            default.enforcing_failure_percentage,
        ),
        enforcing_failure_percentage_local_origin: percent(
            "enforcing_failure_percentage_local_origin",
            default.enforcing_failure_percentage_local_origin,
        ),
        health_check_ends_ejection: m
            .optional_bool("successful_active_health_check_uneject_host")
            .unwrap_or(default.health_check_ends_ejection),
    };
    m.finish();
    Some(out)
}
