//! What the tries of one request have in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::endpoint::Endpoint;
use crate::lock::lock;

/// What a cluster and the layer that repeats requests tell each other, in the extensions
/// (as `Arc<Tries>`) of each try of a request.
#[derive(Debug)]
pub struct Tries {
    selections: Option<u32>,
    sent: AtomicBool,
    tried: Mutex<Vec<Arc<Endpoint>>>,
}

impl Tries {
    /// Tries which may each go to any endpoint.
    pub fn anywhere() -> Self {
        Self::new(None)
    }

    /// Tries of which each after the first should go to an endpoint that had none yet: a cluster
    /// picks up to `selections` times more for that, then takes what it has (Envoy's
    /// `previous_hosts` predicate and `host_selection_retry_max_attempts`).
    pub fn elsewhere(selections: u32) -> Self {
        Self::new(Some(selections))
    }

    fn new(selections: Option<u32>) -> Self {
        Self { selections, sent: AtomicBool::new(true), tried: Mutex::default() }
    }

    /// Whether the current try has been handed to a connection: the upstream may know of it.
    ///
    /// Services that are no cluster don't say, and count as having sent it at once.
    pub fn is_sent(&self) -> bool {
        self.sent.load(Ordering::Acquire)
    }

    /// The endpoint of the latest try.
    pub fn endpoint(&self) -> Option<Arc<Endpoint>> {
        self.tried().last().cloned()
    }

    /// The upstream took too long for the latest try, for its endpoint to count.
    #[cfg(feature = "retry")]
    pub(crate) fn timed_out(&self) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.timed_out();
        }
    }

    pub(super) fn sent(&self) {
        self.sent.store(true, Ordering::Release);
    }

    /// Picks the endpoint of the next try. `pick` is told how many picks went before.
    pub(super) fn choose(
        &self,
        mut pick: impl FnMut(u32) -> Option<Arc<Endpoint>>,
    ) -> Option<Arc<Endpoint>> {
        self.sent.store(false, Ordering::Release);
        let mut tried = self.tried();
        // The first try has nothing to avoid.
        let more = if tried.is_empty() { 0 } else { self.selections.unwrap_or(0) };
        let mut chosen = pick(0)?;
        for attempt in 1..=more {
            if !tried.iter().any(|before| Arc::ptr_eq(before, &chosen)) {
                break;
            }
            chosen = pick(attempt)?;
        }
        tried.push(Arc::clone(&chosen));
        Some(chosen)
    }

    /// Visits the endpoints of all tries, the latest last.
    pub(super) fn each(&self, visit: impl FnMut(&Arc<Endpoint>)) {
        self.tried().iter().for_each(visit);
    }

    fn tried(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Endpoint>>> {
        lock(&self.tried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Cluster;
    use crate::discover::{Member, MemberSet};

    fn endpoints() -> Vec<Arc<Endpoint>> {
        let cluster = Cluster::builder("c").build();
        let members = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"];
        cluster.update(members.iter().map(|a| Member::new(a.parse().expect("ok"))).collect());
        cluster.endpoints()
    }

    /// Chooses with picks that come out as in `picks`; returns the choice and how many were used.
    fn choose(tries: &Tries, all: &[Arc<Endpoint>], picks: &[usize]) -> (usize, usize) {
        let mut used = 0;
        let chosen = tries.choose(|attempt| {
            assert_eq!(attempt as usize, used);
            used += 1;
            Some(Arc::clone(&all[picks[used - 1]]))
        });
        let chosen = chosen.expect("picked");
        (all.iter().position(|e| Arc::ptr_eq(e, &chosen)).expect("one of them"), used)
    }

    #[test]
    fn endpoints_that_had_a_try_are_avoided() {
        let all = endpoints();
        let tries = Tries::elsewhere(3);
        assert_eq!(choose(&tries, &all, &[0]), (0, 1));
        assert_eq!(choose(&tries, &all, &[0, 0, 1]), (1, 3));
        assert_eq!(choose(&tries, &all, &[1, 0, 1, 0]), (0, 4), "the last pick is taken as it is");
        assert_eq!(choose(&tries, &all, &[2]), (2, 1));
    }

    #[test]
    fn without_a_wish_the_first_pick_counts() {
        let all = endpoints();
        let tries = Tries::anywhere();
        assert_eq!(choose(&tries, &all, &[0]), (0, 1));
        assert_eq!(choose(&tries, &all, &[0]), (0, 1));
        assert!(!tries.is_sent());
        tries.sent();
        assert!(tries.is_sent());
        assert_eq!(tries.endpoint().map(|e| e.address()), Some(all[0].address()));
    }

    #[test]
    fn no_endpoint_is_no_choice() {
        assert!(Tries::elsewhere(2).choose(|_| None).is_none());
    }
}
