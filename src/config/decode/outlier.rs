//! Outlier detection of a cluster.

use front_proxy_layers::outlier::OutlierDetection;

use crate::config::message::Message;
use crate::config::schema::health::OUTLIER_DETECTION;

/// `outlier_detection` of a cluster, where given.
pub(super) fn outlier_detection(cluster: &Message<'_>) -> Option<OutlierDetection> {
    let m = cluster.message("outlier_detection", &OUTLIER_DETECTION)?;
    let default = OutlierDetection::default();
    let number = |name, default| m.u32(name).unwrap_or(default);
    let percent = |name, default| m.u32_in(name, 0..=100).unwrap_or(default);
    let base_ejection_time =
        m.positive_duration("base_ejection_time").unwrap_or(default.base_ejection_time);
    let max_ejection_time = m.positive_duration("max_ejection_time");
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
        interval: m.positive_duration("interval").unwrap_or(default.interval),
        base_ejection_time,
        max_ejection_time,
        max_ejection_time_jitter: m.duration("max_ejection_time_jitter").unwrap_or_default(),
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
