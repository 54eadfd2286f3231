//! The endpoints of a cluster at one moment, with what picks among them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::priorities::{HealthOptions, Level, Loads};
use crate::balance::{Candidate, LoadBalancer, PickContext, Picker};
use crate::endpoint::Endpoint;
use crate::lock::lock;

/// An immutable set of endpoints with its pickers. Requests read one; what becomes of members and
/// of their health swaps in another.
#[derive(Debug)]
pub(super) struct EndpointSet {
    all: Box<[Arc<Endpoint>]>,
    shares: Box<[Share]>,
    counts: Counts,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) healthy: usize,
    pub(super) degraded: usize,
    pub(super) excluded: usize,
}

/// Endpoints that get a part of the requests, and the picker that was made for them.
#[derive(Debug)]
struct Share {
    /// Where the part ends on the line from 0 to 100.
    end: u64,
    /// Unhealthy ones are among them, since too few are healthy.
    panic: bool,
    endpoints: Box<[Arc<Endpoint>]>,
    picker: Arc<dyn Picker>,
}

/// What became of a pick.
#[derive(Debug)]
pub(super) struct Picked<'s> {
    pub(super) endpoint: Option<&'s Arc<Endpoint>>,
    pub(super) panic: bool,
}

/// A load balancer for each priority: each has turns of its own.
#[derive(Debug)]
pub(super) struct Balancers {
    first: Box<dyn LoadBalancer>,
    more: Mutex<BTreeMap<Key, Box<dyn LoadBalancer>>>,
}

/// A priority, and whether it is about its degraded endpoints.
type Key = (u32, bool);

impl Balancers {
    pub(super) fn new(first: Box<dyn LoadBalancer>) -> Self {
        Self { first, more: Mutex::default() }
    }

    fn picker(&self, key: Key, candidates: &[Candidate]) -> Arc<dyn Picker> {
        if key == (0, false) {
            return self.first.picker(candidates);
        }
        let mut more = lock(&self.more);
        if let Some(balancer) = more.get(&key) {
            return balancer.picker(candidates);
        }
        let Some(balancer) = self.first.sibling() else {
            return self.first.picker(candidates);
        };
        more.entry(key).or_insert(balancer).picker(candidates)
    }
}

impl EndpointSet {
    pub(super) fn new(
        all: Vec<Arc<Endpoint>>,
        balancers: &Balancers,
        options: &HealthOptions,
    ) -> Self {
        let mut levels = BTreeMap::new();
        for endpoint in &all {
            let priority = endpoint.priority();
            levels.entry(priority).or_insert_with(|| Level::new(priority)).add(endpoint);
        }
        if all.is_empty() {
            // Nobody at all is a state of health as well.
            levels.insert(0, Level::default());
        }
        let levels: Vec<Level> = levels.into_values().collect();
        let loads = Loads::of(&levels, options);
        let mut counts = Counts::default();
        for level in &levels {
            counts.healthy += level.healthy.len();
            counts.degraded += level.degraded.len();
            counts.excluded += level.excluded;
        }
        Self { all: all.into(), shares: shares(levels, &loads, balancers), counts }
    }

    pub(super) fn all(&self) -> &[Arc<Endpoint>] {
        &self.all
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Picks an endpoint. `attempt` is how many picks for the same try went before.
    pub(super) fn pick(&self, hash: Option<u64>, attempt: u32) -> Picked<'_> {
        let share = match &self.shares[..] {
            [only] => Some(only),
            shares => {
                let at = hash.unwrap_or_else(|| fastrand::u64(..)) % 100;
                shares.iter().find(|share| at < share.end)
            }
        };
        let Some(share) = share else {
            return Picked { endpoint: None, panic: false };
        };
        let active = |index: usize| {
            let endpoint = share.endpoints.get(index);
            endpoint.map_or(0, |endpoint| endpoint.stats().rq_active.load(Ordering::Relaxed))
        };
        let index = share.picker.pick(&PickContext { hash, attempt, active: Some(&active) });
        let endpoint = index.and_then(|index| share.endpoints.get(index));
        Picked { endpoint, panic: share.panic }
    }
}

/// The healthy endpoints of each priority that gets something, then the degraded ones.
fn shares(levels: Vec<Level>, loads: &Loads, balancers: &Balancers) -> Box<[Share]> {
    let mut shares = Vec::new();
    let mut end = 0;
    let mut add = |load: u64, key: Key, panic: bool, endpoints: Vec<Arc<Endpoint>>, shown: bool| {
        if load == 0 && !shown {
            return;
        }
        let candidates: Vec<_> = endpoints
            .iter()
            .map(|endpoint| Candidate::new(endpoint.address(), endpoint.weight()))
            .collect();
        let picker = balancers.picker(key, &candidates);
        if shown {
            picker.show();
        }
        if load > 0 {
            end += load;
            shares.push(Share { end, panic, endpoints: endpoints.into(), picker });
        }
    };
    let mut sides = Vec::with_capacity(levels.len());
    for (level, panic) in levels.into_iter().zip(&loads.panic) {
        let (normal, spare) =
            if *panic { (level.all.clone(), level.all) } else { (level.healthy, level.degraded) };
        sides.push((level.priority, *panic, normal, spare));
    }
    let last = sides.iter().rposition(|(_, _, normal, _)| !normal.is_empty());
    let mut degraded = Vec::new();
    for (at, (priority, panic, normal, spare)) in sides.into_iter().enumerate() {
        add(loads.healthy[at], (priority, false), panic, normal, last == Some(at));
        degraded.push((loads.degraded[at], (priority, !panic), panic, spare));
    }
    for (load, key, panic, endpoints) in degraded {
        add(load, key, panic, endpoints, false);
    }
    shares.into()
}
