//! When a route tries again.

use std::time::Duration;

use http::StatusCode;

use super::matching::HeaderMatch;

/// When and how often to try again (Envoy's `RetryPolicy`).
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Conditions.
    pub on: RetryOn,
    /// Retries after the first try. Default 1.
    pub num_retries: u32,
    /// A timeout of each try.
    pub per_try_timeout: Option<Duration>,
    /// An idle timeout of each try.
    pub per_try_idle_timeout: Option<Duration>,
    /// `retriable_status_codes`.
    pub status_codes: Vec<StatusCode>,
    /// `retriable_headers`: of the response.
    pub response_headers: Vec<HeaderMatch>,
    /// `retriable_request_headers`: retry only requests that have one of these; empty is any.
    pub request_headers: Vec<HeaderMatch>,
    /// First back-off. Default 25 ms, or what the cluster's runtime says
    /// (`upstream.base_retry_backoff_ms`).
    pub base_interval: Option<Duration>,
    /// Longest back-off. Default ten times the first.
    pub max_interval: Option<Duration>,
    /// Avoid hosts already tried (`previous_hosts`).
    pub avoid_previous_hosts: bool,
    /// How often to pick anew for that. Default 1.
    pub host_selection_attempts: u32,
}

impl Default for RetryPolicy {
    /// Envoy's defaults, and no condition: nothing is retried.
    fn default() -> Self {
        Self {
            on: RetryOn::default(),
            num_retries: 1,
            per_try_timeout: None,
            per_try_idle_timeout: None,
            status_codes: Vec::new(),
            response_headers: Vec::new(),
            request_headers: Vec::new(),
            base_interval: None,
            max_interval: None,
            avoid_previous_hosts: false,
            host_selection_attempts: 1,
        }
    }
}

/// The conditions of `retry_on`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // each is Envoy's condition of its name
pub struct RetryOn {
    pub five_xx: bool,
    pub gateway_error: bool,
    pub reset: bool,
    pub reset_before_request: bool,
    pub connect_failure: bool,
    pub envoy_ratelimited: bool,
    pub retriable_4xx: bool,
    pub refused_stream: bool,
    pub retriable_status_codes: bool,
    pub retriable_headers: bool,
    pub grpc_cancelled: bool,
    pub grpc_deadline_exceeded: bool,
    pub grpc_internal: bool,
    pub grpc_resource_exhausted: bool,
    pub grpc_unavailable: bool,
}

impl RetryOn {
    /// The names that [`add`](Self::add) knows, as in `retry_on` and `x-envoy-retry-on`.
    pub const CONDITIONS: [&str; 10] = [
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "envoy-ratelimited",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
    ];

    /// The names that [`add_grpc`](Self::add_grpc) knows, as in `retry_on` and
    /// `x-envoy-retry-grpc-on`.
    pub const GRPC_CONDITIONS: [&str; 5] =
        ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"];

    /// Adds the condition of this name. False if there is none.
    #[must_use]
    pub fn add(&mut self, name: &str) -> bool {
        let flag = match name {
            "5xx" => &mut self.five_xx,
            "gateway-error" => &mut self.gateway_error,
            "reset" => &mut self.reset,
            "reset-before-request" => &mut self.reset_before_request,
            "connect-failure" => &mut self.connect_failure,
            "envoy-ratelimited" => &mut self.envoy_ratelimited,
            "retriable-4xx" => &mut self.retriable_4xx,
            "refused-stream" => &mut self.refused_stream,
            "retriable-status-codes" => &mut self.retriable_status_codes,
            "retriable-headers" => &mut self.retriable_headers,
            _ => return false,
        };
        *flag = true;
        true
    }

    /// Adds the condition of this name that looks at the gRPC status. False if there is none.
    #[must_use]
    pub fn add_grpc(&mut self, name: &str) -> bool {
        let flag = match name {
            "cancelled" => &mut self.grpc_cancelled,
            "deadline-exceeded" => &mut self.grpc_deadline_exceeded,
            "internal" => &mut self.grpc_internal,
            "resource-exhausted" => &mut self.grpc_resource_exhausted,
            "unavailable" => &mut self.grpc_unavailable,
            _ => return false,
        };
        *flag = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_retry_conditions_are_those_that_can_be_added() {
        let mut all = RetryOn::default();
        for name in RetryOn::CONDITIONS {
            let before = all;
            assert!(all.add(name) && all != before && !all.add_grpc(name), "{name}");
        }
        for name in RetryOn::GRPC_CONDITIONS {
            let before = all;
            assert!(all.add_grpc(name) && all != before && !all.add(name), "{name}");
        }
        assert!(!all.add("unknown") && !all.add_grpc("unknown"));
    }
}
