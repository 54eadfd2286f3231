//! How requests are shared out over priorities by the health of their endpoints.
//!
//! The rules are [Envoy's](https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/priority):
//! the first priority gets everything until fewer than 1/1.4 of its endpoints are healthy, then the
//! next ones get a part of it, and a priority of which too few are healthy uses all it has.

use std::sync::Arc;

use crate::endpoint::Endpoint;
use crate::health::Health;

/// What health means for load balancing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthOptions {
    /// `healthy_panic_threshold`: below this share of healthy endpoints, in percent, all of a
    /// priority are used. Default 50; 0 never uses an unhealthy one.
    pub panic_threshold: u32,
    /// `overprovisioning_factor` in percent: a priority can do without a part of its endpoints.
    /// Default 140.
    pub overprovisioning_factor: u32,
    /// `weighted_priority_health`: endpoints count by their weight when priorities are weighed
    /// against each other. Default off.
    pub weighted_priority_health: bool,
    /// `ignore_new_hosts_until_first_hc`: endpoints that were not checked yet are not reckoned
    /// with. Default off.
    pub ignore_new_until_checked: bool,
    /// `ignore_health_on_host_removal`: endpoints that discovery does not name any more leave at
    /// once, even if health checks find them healthy. Default off.
    pub ignore_health_on_removal: bool,
    /// `close_connections_on_host_health_failure`: TCP connections of tunnels end when their
    /// endpoint fails. Those of HTTP end with their request in any case. Default off.
    pub close_connections_on_failure: bool,
}

impl Default for HealthOptions {
    fn default() -> Self {
        Self {
            panic_threshold: 50,
            overprovisioning_factor: 140,
            weighted_priority_health: false,
            ignore_new_until_checked: false,
            ignore_health_on_removal: false,
            close_connections_on_failure: false,
        }
    }
}

/// The endpoints of one priority, sorted.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) priority: u32,
    pub(super) all: Vec<Arc<Endpoint>>,
    pub(super) healthy: Vec<Arc<Endpoint>>,
    pub(super) degraded: Vec<Arc<Endpoint>>,
    pub(super) excluded: usize,
    /// Weights of the healthy, the degraded, and all that count.
    weights: [u64; 3],
}

impl Level {
    pub(super) fn new(priority: u32) -> Self {
        Self { priority, ..Self::default() }
    }

    pub(super) fn add(&mut self, endpoint: &Arc<Endpoint>) {
        let flags = endpoint.health();
        let weight = u64::from(endpoint.weight());
        self.all.push(Arc::clone(endpoint));
        if flags.is_excluded() {
            self.excluded += 1;
            return;
        }
        self.weights[2] += weight;
        match flags.health() {
            Health::Healthy => {
                self.weights[0] += weight;
                self.healthy.push(Arc::clone(endpoint));
            }
            Health::Degraded => {
                self.weights[1] += weight;
                self.degraded.push(Arc::clone(endpoint));
            }
            Health::Unhealthy => {}
        }
    }

    fn counts(&self) -> [u64; 3] {
        let counted = self.all.len() - self.excluded;
        [self.healthy.len() as u64, self.degraded.len() as u64, counted as u64]
    }

    fn in_panic(&self, threshold: u32) -> bool {
        let [healthy, degraded, all] = self.counts();
        let percent = |part: u64| if all == 0 { 0.0 } else { 100.0 * part as f64 / all as f64 };
        percent(healthy) + percent(degraded) < f64::from(threshold)
    }

    /// How much of all requests the healthy and the degraded endpoints can take, in percent.
    fn available(&self, options: &HealthOptions) -> (u64, u64) {
        let [healthy, degraded, all] =
            if options.weighted_priority_health { self.weights } else { self.counts() };
        let factor = u64::from(options.overprovisioning_factor);
        let percent = |part: u64| (factor * part).checked_div(all).unwrap_or(0).min(100);
        (percent(healthy), percent(degraded))
    }
}

/// The share of each priority, in percent: 100 together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Loads {
    pub(super) healthy: Vec<u64>,
    pub(super) degraded: Vec<u64>,
    /// Which priorities use all of their endpoints.
    pub(super) panic: Vec<bool>,
}

impl Loads {
    /// `levels` are in order. There is one at least, be it empty.
    pub(super) fn of(levels: &[Level], options: &HealthOptions) -> Self {
        let (healthy, degraded): (Vec<_>, Vec<_>) =
            levels.iter().map(|level| level.available(options)).unzip();
        let total = (healthy.iter().sum::<u64>() + degraded.iter().sum::<u64>()).min(100);
        let mut loads = Self {
            healthy: vec![0; levels.len()],
            degraded: vec![0; levels.len()],
            panic: vec![false; levels.len()],
        };
        if total > 0 {
            loads.share_out(&healthy, &degraded, total);
        }
        let threshold = options.panic_threshold.min(100);
        if threshold == 0 && total == 0 {
            // Nobody may have it. It goes where nobody is.
            if let Some(first) = loads.healthy.first_mut() {
                *first = 100;
            }
            return loads;
        }
        if total < 100 {
            loads.panic = levels.iter().map(|level| level.in_panic(threshold)).collect();
            if loads.panic.iter().all(|panic| *panic) {
                loads.share_out_by_number(levels);
            }
        }
        loads
    }

    fn share_out(&mut self, healthy: &[u64], degraded: &[u64], total: u64) {
        let mut left = 100;
        for (shares, available) in [(&mut self.healthy, healthy), (&mut self.degraded, degraded)] {
            for (share, available) in shares.iter_mut().zip(available) {
                *share = (available * 100 / total).min(left);
                left -= *share;
            }
        }
        // What rounding has left over.
        let first = |available: &[u64]| available.iter().position(|available| *available > 0);
        match (first(healthy), first(degraded)) {
            (Some(first), _) => self.healthy[first] += left,
            (None, Some(first)) => self.degraded[first] += left,
            (None, None) => {}
        }
    }

    /// All priorities panic: health counts for nothing.
    fn share_out_by_number(&mut self, levels: &[Level]) {
        let all: u64 = levels.iter().map(|level| level.all.len() as u64).sum();
        let mut left = 100;
        for ((level, healthy), degraded) in
            levels.iter().zip(&mut self.healthy).zip(&mut self.degraded)
        {
            *healthy = (100 * level.all.len() as u64).checked_div(all).unwrap_or(0);
            *degraded = 0;
            left -= *healthy;
        }
        let first = levels.iter().position(|level| !level.all.is_empty()).unwrap_or(0);
        if let Some(share) = self.healthy.get_mut(first) {
            *share += left;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::Cluster;
    use crate::discover::{Member, MemberSet};
    use crate::health::HealthStatus as S;

    /// Levels with so many endpoints that are healthy, degraded, and unhealthy.
    fn levels(of: &[(usize, usize, usize)]) -> Vec<Level> {
        let cluster = Cluster::builder("c").build();
        let mut members = Vec::new();
        for (priority, (healthy, degraded, unhealthy)) in of.iter().enumerate() {
            let kinds = [(S::Healthy, healthy), (S::Degraded, degraded), (S::Unhealthy, unhealthy)];
            for (status, count) in kinds {
                for _ in 0..*count {
                    let port = 1 + members.len() as u16;
                    let member = Member::new(([127, 0, 0, 1], port).into());
                    members.push(Member { status, priority: priority as u32, ..member });
                }
            }
        }
        cluster.update(members);
        let mut levels: Vec<Level> = of.iter().map(|_| Level::default()).collect();
        for endpoint in cluster.endpoints() {
            levels[endpoint.priority() as usize].add(&endpoint);
        }
        levels
    }

    fn loads(of: &[(usize, usize, usize)]) -> Loads {
        Loads::of(&levels(of), &HealthOptions::default())
    }

    /// The table of Envoy's documentation on priorities: 72 % healthy is enough, then it declines.
    #[test]
    fn load_moves_on_as_health_declines() {
        for (healthy, first, second) in
            [(100, 100, 0), (72, 100, 0), (71, 99, 1), (50, 70, 30), (25, 35, 65), (0, 0, 100)]
        {
            let loads = loads(&[(healthy, 0, 100 - healthy), (100, 0, 0)]);
            assert_eq!(loads.healthy, [first, second], "{healthy} % healthy");
            assert_eq!(loads.panic, [false, false], "the second can take all");
        }
    }

    #[test]
    fn too_little_health_in_all_is_scaled_up() {
        // 20 % of 140 and 15 % of 140 are 28 and 21 percent, of 49 in all: Envoy rounds down and
        // gives what is left to the first.
        let options = HealthOptions { panic_threshold: 0, ..HealthOptions::default() };
        let loads = Loads::of(&levels(&[(20, 0, 80), (15, 0, 85)]), &options);
        assert_eq!(loads.healthy, [58, 42]);
        assert_eq!(loads.panic, [false, false]);
    }

    #[test]
    fn half_is_enough_and_less_is_panic() {
        assert_eq!(loads(&[(2, 0, 2)]).panic, [false]);
        assert_eq!(loads(&[(1, 1, 2)]).panic, [false], "the degraded count");
        assert_eq!(loads(&[(1, 0, 2)]).panic, [true]);
    }

    #[test]
    fn a_panic_of_all_goes_by_number() {
        let loads = loads(&[(0, 0, 1), (1, 0, 9)]);
        assert_eq!((loads.healthy, loads.panic), (vec![10, 90], vec![true, true]));
    }

    #[test]
    fn without_panic_nobody_gets_what_nobody_can_take() {
        let options = HealthOptions { panic_threshold: 0, ..HealthOptions::default() };
        let loads = Loads::of(&levels(&[(0, 0, 2)]), &options);
        assert_eq!((loads.healthy, loads.panic), (vec![100], vec![false]));
    }

    #[test]
    fn nobody_at_all_is_panic() {
        assert_eq!(loads(&[(0, 0, 0)]).panic, [true]);
    }

    #[test]
    fn the_degraded_get_what_the_healthy_are_too_few_for() {
        let loads = loads(&[(1, 3, 0)]);
        assert_eq!((loads.healthy, loads.degraded), (vec![35], vec![65]));
    }

    proptest! {
        #[test]
        fn shares_are_a_hundred_percent(
            of in prop::collection::vec((0usize..6, 0usize..6, 0usize..6), 1..4),
            panic_threshold in 0u32..=100,
        ) {
            let options = HealthOptions { panic_threshold, ..HealthOptions::default() };
            let levels = levels(&of);
            let loads = Loads::of(&levels, &options);
            prop_assert_eq!(loads.healthy.iter().chain(&loads.degraded).sum::<u64>(), 100);
        }
    }
}
