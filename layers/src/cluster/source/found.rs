//! The members of a cluster from several places: each place gives its part, the cluster has them all.

use std::sync::{Arc, Mutex, Weak};

use crate::cluster::{Cluster, Inner, Priority};
use crate::discover::first::Announce;
use crate::discover::{FirstResolution, Member, MemberSet, UpdateStats};
use crate::lock::lock;
use crate::stats::Scope;

/// What is known from all places.
#[derive(Clone)]
pub(super) struct Known {
    /// Weak: looking for members must not be what keeps the cluster alive.
    cluster: Weak<Inner>,
    /// Members by address first, then a part for each discovery.
    parts: Arc<Mutex<Vec<Vec<Member>>>>,
}

impl Known {
    pub(super) fn new(cluster: &Cluster, fixed: Vec<Member>) -> Self {
        let parts = Arc::new(Mutex::new(vec![fixed]));
        Self { cluster: Arc::downgrade(&cluster.inner), parts }
    }

    /// For one discovery: what takes its part, and what waits for the first. It is counted below
    /// `counted`, where it does not count for itself.
    pub(super) fn sink(&self, counted: Option<&Scope>) -> (Arc<dyn MemberSet>, FirstResolution) {
        let mut parts = lock(&self.parts);
        parts.push(Vec::new());
        let (part, first) = (parts.len() - 1, Announce::new());
        let waiting = first.subscribe();
        let stats = counted.map(UpdateStats::new);
        (Arc::new(Found { known: self.clone(), part, first, stats }), waiting)
    }
}

/// The members that one discovery has found.
struct Found {
    known: Known,
    part: usize,
    first: Announce,
    stats: Option<UpdateStats>,
}

impl MemberSet for Found {
    fn update(&self, members: Vec<Member>) -> bool {
        let Some(inner) = self.known.cluster.upgrade() else { return false };
        let cluster = Cluster { inner, priority: Priority::Default };
        let changed = {
            // Held until the cluster has them: parts that change at a time must not overtake each other.
            let mut parts = lock(&self.known.parts);
            if let Some(part) = parts.get_mut(self.part) {
                *part = members;
            }
            cluster.update(parts.iter().flatten().cloned().collect())
        };
        if let Some(stats) = &self.stats {
            stats.attempt.increment(1);
            stats.success.increment(1);
            if !changed {
                stats.no_rebuild.increment(1);
            }
        }
        self.first.done();
        changed
    }

    fn failed(&self) {
        if let Some(stats) = &self.stats {
            stats.attempt.increment(1);
            stats.failure.increment(1);
        }
        self.first.done();
    }
}
