//! What of health checks follows the runtime, by Envoy's names.

use std::time::Duration;

use crate::runtime::{Key, Runtime};

/// `health_check.*`
#[derive(Debug)]
pub(super) struct Keys {
    min_interval: Key,
    max_interval: Key,
    verify_cluster: Key,
}

impl Keys {
    pub(super) fn new(runtime: &Runtime) -> Self {
        Self {
            min_interval: runtime.key("health_check.min_interval"),
            max_interval: runtime.key("health_check.max_interval"),
            verify_cluster: runtime.key("health_check.verify_cluster"),
        }
    }

    /// An interval within the bounds that are set. Where they contradict each other the lower one
    /// counts. It is never nothing, or an endpoint that refuses would keep a core busy.
    pub(super) fn bound(&self, interval: Duration) -> Duration {
        let bound = |key: &Key| key.integer().map(Duration::from_millis);
        let short = bound(&self.max_interval).map_or(interval, |max| interval.min(max));
        let long = bound(&self.min_interval).map_or(short, |min| short.max(min));
        long.max(Duration::from_millis(1))
    }

    /// Whether an answer is to be compared with a cluster's name, where a check has one.
    pub(super) fn verifies_cluster(&self) -> bool {
        self.verify_cluster.integer().is_none_or(|percent| fastrand::u64(..100) < percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::RuntimeValue;

    #[test]
    fn intervals_keep_within_bounds() {
        let runtime = Runtime::new();
        let keys = Keys::new(&runtime);
        let bound = |ms| keys.bound(Duration::from_millis(ms)).as_millis();
        assert_eq!([bound(0), bound(5)], [1, 5]);
        let (min, max) = ("health_check.min_interval", "health_check.max_interval");
        runtime.replace([(min, RuntimeValue::from(10)), (max, RuntimeValue::from(20))]);
        assert_eq!([bound(5), bound(15), bound(25)], [10, 15, 20]);
        runtime.replace([(min, RuntimeValue::from(30)), (max, RuntimeValue::from(20))]);
        assert_eq!(bound(25), 30);
    }

    #[test]
    fn names_are_compared_unless_the_runtime_says_otherwise() {
        let runtime = Runtime::new();
        let keys = Keys::new(&runtime);
        assert!(keys.verifies_cluster());
        runtime.replace([("health_check.verify_cluster", RuntimeValue::from(0))]);
        assert!(!keys.verifies_cluster());
    }
}
