//! Settings that follow the runtime.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use super::OutlierDetection;
use crate::runtime::{Key, Runtime};

/// What was configured, and what counts now.
#[derive(Debug)]
pub(crate) struct Followed {
    configured: OutlierDetection,
    now: ArcSwap<OutlierDetection>,
}

impl Followed {
    pub(crate) fn new(configured: OutlierDetection) -> Self {
        Self { now: ArcSwap::from_pointee(configured.clone()), configured }
    }

    /// The settings as of now.
    #[inline]
    pub(crate) fn load(&self) -> Guard<Arc<OutlierDetection>> {
        self.now.load()
    }

    /// Follows `outlier_detection.*` from now on.
    pub(crate) fn follow(self: &Arc<Self>, runtime: &Runtime) {
        let keys = Keys::new(runtime);
        let followed = Arc::downgrade(self);
        runtime.watch(move || {
            let Some(followed) = followed.upgrade() else { return false };
            let mut next = followed.configured.clone();
            keys.apply(&mut next);
            if next != **followed.load() {
                followed.now.store(Arc::new(next));
            }
            true
        });
    }
}

/// Where a number is among the settings.
type Setting = fn(&mut OutlierDetection) -> &mut u32;

/// The keys, one for each setting of the kind.
#[derive(Debug)]
struct Keys {
    numbers: Vec<(Key, Setting)>,
    interval: Key,
    base_ejection_time: Key,
    max_ejection_time: Key,
    max_ejection_time_jitter: Key,
}

macro_rules! numbers {
    ($runtime:ident, $($name:ident),* $(,)?) => {
        vec![$((
            $runtime.key(concat!("outlier_detection.", stringify!($name))),
            |settings| &mut settings.$name,
        )),*]
    };
}

impl Keys {
    fn new(runtime: &Runtime) -> Self {
        let numbers: Vec<(Key, Setting)> = numbers!(
            runtime,
            consecutive_5xx,
            enforcing_consecutive_5xx,
            consecutive_gateway_failure,
            enforcing_consecutive_gateway_failure,
            consecutive_local_origin_failure,
            enforcing_consecutive_local_origin_failure,
            max_ejection_percent,
            success_rate_minimum_hosts,
            success_rate_request_volume,
            success_rate_stdev_factor,
            enforcing_success_rate,
            enforcing_local_origin_success_rate,
            failure_percentage_threshold,
            failure_percentage_minimum_hosts,
            failure_percentage_request_volume,
            enforcing_failure_percentage,
            enforcing_failure_percentage_local_origin,
        );
        let time = |name: &str| runtime.key(&format!("outlier_detection.{name}_ms"));
        Self {
            numbers,
            interval: time("interval"),
            base_ejection_time: time("base_ejection_time"),
            max_ejection_time: time("max_ejection_time"),
            max_ejection_time_jitter: time("max_ejection_time_jitter"),
        }
    }

    fn apply(&self, settings: &mut OutlierDetection) {
        for (key, setting) in &self.numbers {
            if let Some(number) = key.u32() {
                *setting(settings) = number;
            }
        }
        let time = |key: &Key| key.integer().map(Duration::from_millis);
        if let Some(interval) = time(&self.interval) {
            // An interval of nothing would keep a core busy.
            settings.interval = interval.max(Duration::from_millis(1));
        }
        if let Some(base) = time(&self.base_ejection_time) {
            settings.base_ejection_time = base;
        }
        if let Some(longest) = time(&self.max_ejection_time) {
            settings.max_ejection_time = Some(longest);
        }
        if let Some(jitter) = time(&self.max_ejection_time_jitter) {
            settings.max_ejection_time_jitter = jitter;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::RuntimeValue;

    #[test]
    fn the_runtime_goes_before_what_is_configured() {
        let runtime = Runtime::new();
        let configured = OutlierDetection { consecutive_5xx: 7, ..OutlierDetection::default() };
        let followed = Arc::new(Followed::new(configured.clone()));
        followed.follow(&runtime);
        assert_eq!(**followed.load(), configured);
        runtime.replace([
            ("outlier_detection.consecutive_5xx", RuntimeValue::from(2)),
            ("outlier_detection.enforcing_success_rate", RuntimeValue::from(0)),
            ("outlier_detection.interval_ms", RuntimeValue::from(0)),
            ("outlier_detection.max_ejection_time_ms", RuntimeValue::from(1500)),
        ]);
        let expected = OutlierDetection {
            consecutive_5xx: 2,
            enforcing_success_rate: 0,
            interval: Duration::from_millis(1),
            max_ejection_time: Some(Duration::from_millis(1500)),
            ..OutlierDetection::default()
        };
        assert_eq!(**followed.load(), expected);
        runtime.replace::<String>([]);
        assert_eq!(**followed.load(), configured);
    }
}
