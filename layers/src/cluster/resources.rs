//! Circuit breakers: how much of each resource a cluster may use at a time.
//!
//! Envoy's [resource limits](https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/circuit_breaking):
//! 1024 connections, 1024 pending requests, 1024 requests and 3 retries by default, per priority.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

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
    unshown: Unshown,
}

/// What the gauges do not say yet. Envoy sets them with each use of the resource, so a limit shows
/// with the first use that it holds for: one of 0 is not open before somebody came.
#[derive(Debug)]
struct Unshown {
    any: AtomicBool,
    full: AtomicI64,
    left: AtomicI64,
}

impl Resource {
    fn new(max: u32, open: Gauge, remaining: Option<Gauge>) -> Self {
        if let Some(remaining) = &remaining {
            remaining.set(f64::from(max));
        }
        let unshown = Unshown {
            // The first use marks the gauges as used, whatever they show.
            any: AtomicBool::new(true),
            full: AtomicI64::new(i64::from(max == 0)),
            left: AtomicI64::new(0),
        };
        Self { permits: Permits::new(max), open, remaining, pool: None, unshown }
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

    /// Sets another limit. What is taken stays taken, be it more. The gauges follow with the next use.
    pub fn limit(&self, max: u32) {
        if max != self.max() {
            let Change { full, left } = self.permits.limit(max);
            self.unshown.full.fetch_add(full.into(), Ordering::Relaxed);
            self.unshown.left.fetch_add(left, Ordering::Relaxed);
            self.unshown.any.store(true, Ordering::Release);
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
        // Read first: all workers share it, and it is seldom written.
        if self.unshown.any.load(Ordering::Relaxed) {
            self.catch_up();
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

    /// Shows what was not. Adding nothing counts as a use of the gauge as well.
    #[cold]
    fn catch_up(&self) {
        if !self.unshown.any.swap(false, Ordering::Acquire) {
            return;
        }
        let take = |part: &AtomicI64| part.swap(0, Ordering::Relaxed) as f64;
        self.open.increment(take(&self.unshown.full));
        if let Some(remaining) = &self.remaining {
            remaining.increment(take(&self.unshown.left));
        }
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
    fn a_new_limit_counts_at_once_and_shows_with_the_next_use() {
        let gauges = [(); 2].map(|()| Arc::new(Shown::default()));
        let gauge = |at: usize| Gauge::new(Arc::clone(&gauges[at]) as _);
        let requests = Resource::new(1, gauge(0), Some(gauge(1)));
        let shown = || [0, 1].map(|at: usize| *lock(&gauges[at].0));
        assert!(requests.try_take() && !requests.try_take());
        assert_eq!(shown(), [1.0, 0.0]);
        requests.limit(3);
        assert_eq!(shown(), [1.0, 0.0]);
        assert!(requests.try_take());
        assert_eq!(shown(), [0.0, 1.0]);
        requests.limit(1);
        assert!(!requests.try_take());
        assert_eq!(shown(), [0.0, 1.0], "what was refused used nothing");
        requests.give();
        assert_eq!(shown(), [1.0, 0.0], "one of one is taken");
        requests.give();
        assert_eq!((shown(), requests.taken()), ([0.0, 1.0], 0));
        requests.limit(0);
        requests.limit(5);
        requests.take();
        assert_eq!(shown(), [0.0, 4.0]);
    }

    #[test]
    fn a_limit_of_0_is_open_from_the_first_use_on() {
        let open = Arc::new(Shown::default());
        let connections = Resource::new(0, Gauge::new(Arc::clone(&open) as _), None);
        let shown = || *lock(&open.0);
        assert!(!connections.try_take());
        assert_eq!(shown(), 0.0);
        connections.take();
        assert_eq!(shown(), 1.0);
        connections.give();
        assert_eq!(shown(), 1.0);
    }
}
