//! Circuit breakers: how much of each resource a cluster may use at a time.
//!
//! Envoy's [resource limits](https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/circuit_breaking):
//! 1024 connections, 1024 pending requests, 1024 requests and 3 retries by default, per priority.

use std::sync::atomic::{AtomicBool, Ordering};

use super::permits::{Change, Permits};
use crate::stats::{Gauge, Scope};

/// The limits of one priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections to all endpoints together. Default 1024.
    pub connections: u32,
    /// Requests that wait for a connection. Default 1024.
    pub pending: u32,
    /// Requests in flight. Default 1024.
    pub requests: u32,
    /// Retries in flight. Default 3.
    pub retries: u32,
    /// Whether `remaining_*` gauges show what is left. Default `false`.
    pub track_remaining: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            pending: 1024,
            requests: 1024,
            retries: 3,
            track_remaining: false,
        }
    }
}

/// The resources of one priority and what is taken of each.
#[derive(Debug)]
pub struct Resources {
    /// `cx_open`
    pub connections: Resource,
    /// `rq_pending_open`
    pub pending: Resource,
    /// `rq_open`
    pub requests: Resource,
    /// `rq_retry_open`
    pub retries: Resource,
}

impl Resources {
    /// Resources with these limits; gauges go to `scope`, which names cluster and priority.
    pub fn new(limits: &Limits, scope: &Scope) -> Self {
        let resource = |max, open, remaining| {
            let remaining = limits.track_remaining.then(|| scope.gauge(remaining));
            Resource::new(max, scope.gauge(open), remaining)
        };
        let connections = resource(limits.connections, "cx_open", "remaining_cx");
        Self {
            // Pools are bounded by connections here; the gauge exists for dashboards.
            connections: Resource { pool: Some(scope.gauge("cx_pool_open")), ..connections },
            pending: resource(limits.pending, "rq_pending_open", "remaining_pending"),
            requests: resource(limits.requests, "rq_open", "remaining_rq"),
            retries: resource(limits.retries, "rq_retry_open", "remaining_retries"),
        }
    }
}

/// One resource.
#[derive(Debug)]
pub struct Resource {
    permits: Permits,
    open: Gauge,
    remaining: Option<Gauge>,
    pool: Option<Gauge>,
    used: AtomicBool,
}

impl Resource {
    fn new(max: u32, open: Gauge, remaining: Option<Gauge>) -> Self {
        if max == 0 {
            open.set(1.0);
        }
        if let Some(remaining) = &remaining {
            remaining.set(f64::from(max));
        }
        let used = AtomicBool::new(false);
        Self { permits: Permits::new(max), open, remaining, pool: None, used }
    }

    /// Takes one if there is one left.
    #[must_use]
    pub fn try_take(&self) -> bool {
        self.permits.try_take().map(|change| self.show(change)).is_some()
    }

    /// Takes one whether or not there is one left.
    pub fn take(&self) {
        self.show(self.permits.take());
    }

    /// Sets another limit. What is taken stays taken, be it more.
    pub fn limit(&self, max: u32) {
        if max != self.max() {
            self.show(self.permits.limit(max));
        }
    }

    /// Gives one back.
    pub fn give(&self) {
        self.show(self.permits.give());
    }

    /// Whether there is one left.
    pub fn is_free(&self) -> bool {
        self.permits.is_free()
    }

    /// How many are taken.
    pub fn taken(&self) -> u32 {
        self.permits.taken()
    }

    /// The limit.
    pub fn max(&self) -> u32 {
        self.permits.max()
    }

    fn show(&self, change: Change) {
        // Read first: all workers share it, and it is written once.
        if !self.used.load(Ordering::Relaxed) {
            self.first_use();
        }
        if change.full != 0 {
            self.open.increment(f64::from(change.full));
        }
        if let Some(remaining) = &self.remaining
            && change.left != 0
        {
            remaining.increment(change.left as f64);
        }
    }

    /// Envoy says of each use whether the breaker is open: from the first on, the gauge counts as used.
    #[cold]
    fn first_use(&self) {
        self.used.store(true, Ordering::Relaxed);
        self.open.increment(0.0);
        if let Some(pool) = &self.pool {
            pool.increment(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::lock::lock;
    use crate::stats::GaugeValue;

    /// What a gauge shows.
    #[derive(Default)]
    struct Shown(Mutex<f64>);

    impl GaugeValue for Shown {
        fn add(&self, change: f64) {
            *lock(&self.0) += change;
        }

        fn set(&self, value: f64) {
            *lock(&self.0) = value;
        }
    }

    #[test]
    fn a_resource_gives_no_more_than_it_has() {
        let resource = Resource::new(2, Gauge::noop(), None);
        assert!(resource.try_take() && resource.try_take());
        assert!(!resource.try_take());
        resource.give();
        assert!(resource.is_free() && resource.try_take());
        resource.take();
        assert_eq!(resource.taken(), 3, "what must be taken is taken over the limit");
    }

    #[test]
    fn a_new_limit_counts_at_once_and_the_gauges_stay_right() {
        let gauges = [(); 2].map(|()| Arc::new(Shown::default()));
        let gauge = |at: usize| Gauge::new(Arc::clone(&gauges[at]) as _);
        let requests = Resource::new(1, gauge(0), Some(gauge(1)));
        let shown = || [0, 1].map(|at: usize| *lock(&gauges[at].0));
        assert!(requests.try_take() && !requests.try_take());
        assert_eq!(shown(), [1.0, 0.0]);
        requests.limit(3);
        assert_eq!(shown(), [0.0, 2.0]);
        assert!(requests.try_take());
        requests.limit(1);
        assert!(!requests.try_take());
        assert_eq!(shown(), [1.0, 0.0]);
        requests.give();
        assert_eq!(shown(), [1.0, 0.0], "one of one is taken");
        requests.give();
        assert_eq!((shown(), requests.taken()), ([0.0, 1.0], 0));
        requests.limit(0);
        assert_eq!(shown(), [1.0, 0.0]);
    }
}
