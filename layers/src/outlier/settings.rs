//! When an endpoint is an outlier, and for how long.

use std::time::Duration;

/// Outlier detection of a cluster. Fields have Envoy's defaults.
///
/// Each `enforcing_*` is how likely, in percent, what was detected leads to an ejection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierDetection {
    /// Failures in a row, of any kind. Default 5.
    pub consecutive_5xx: u32,
    /// Default 100.
    pub enforcing_consecutive_5xx: u32,
    /// Failures of a gateway (502, 503, 504) in a row. Default 5.
    pub consecutive_gateway_failure: u32,
    /// Default 0.
    pub enforcing_consecutive_gateway_failure: u32,
    /// `split_external_local_origin_errors`: failures that arise on this side are counted apart.
    /// Default `false`.
    pub split_local_origin: bool,
    /// Failures on this side in a row, where they are counted apart. Default 5.
    pub consecutive_local_origin_failure: u32,
    /// Default 100.
    pub enforcing_consecutive_local_origin_failure: u32,
    /// How often rates are looked at, and ejected endpoints. Default 10 s.
    pub interval: Duration,
    /// How long the first ejection lasts; the next ones last a multiple of it. Default 30 s.
    pub base_ejection_time: Duration,
    /// How long an ejection may last. Default 300 s, or `base_ejection_time` if that is longer.
    pub max_ejection_time: Option<Duration>,
    /// Up to so much is added to each ejection, at random. Default nothing.
    pub max_ejection_time_jitter: Duration,
    /// How many of the endpoints may be ejected at a time, in percent. Default 10.
    pub max_ejection_percent: u32,
    /// One may be in any case. Default `false`.
    pub always_eject_one: bool,
    /// How many endpoints must have enough requests for success rates to mean something.
    /// Default 5.
    pub success_rate_minimum_hosts: u32,
    /// How many requests of an interval are enough. Default 100.
    pub success_rate_request_volume: u32,
    /// How far below the mean is too far, in thousandths of a standard deviation. Default 1900.
    pub success_rate_stdev_factor: u32,
    /// Default 100.
    pub enforcing_success_rate: u32,
    /// Default 100.
    pub enforcing_local_origin_success_rate: u32,
    /// What percentage of failures is too many. Default 85.
    pub failure_percentage_threshold: u32,
    /// How many endpoints must have enough requests for it to mean something. Default 5.
    pub failure_percentage_minimum_hosts: u32,
    /// How many requests of an interval are enough. Default 50.
    pub failure_percentage_request_volume: u32,
    /// Default 0.
    pub enforcing_failure_percentage: u32,
    /// Default 0.
    pub enforcing_failure_percentage_local_origin: u32,
    /// An active health check that succeeds ends an ejection. Default `true`.
    pub health_check_ends_ejection: bool,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            enforcing_consecutive_5xx: 100,
            consecutive_gateway_failure: 5,
            enforcing_consecutive_gateway_failure: 0,
            split_local_origin: false,
            consecutive_local_origin_failure: 5,
            enforcing_consecutive_local_origin_failure: 100,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: None,
            max_ejection_time_jitter: Duration::ZERO,
            max_ejection_percent: 10,
            always_eject_one: false,
            success_rate_minimum_hosts: 5,
            success_rate_request_volume: 100,
            success_rate_stdev_factor: 1900,
            enforcing_success_rate: 100,
            enforcing_local_origin_success_rate: 100,
            failure_percentage_threshold: 85,
            failure_percentage_minimum_hosts: 5,
            failure_percentage_request_volume: 50,
            enforcing_failure_percentage: 0,
            enforcing_failure_percentage_local_origin: 0,
            health_check_ends_ejection: true,
        }
    }
}

impl OutlierDetection {
    pub(super) fn longest(&self) -> Duration {
        self.max_ejection_time
            .unwrap_or_else(|| self.base_ejection_time.max(Duration::from_secs(300)))
    }
}
