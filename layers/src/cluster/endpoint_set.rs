//! The endpoints of a cluster at one moment, and how one set becomes the next.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Cluster;
use crate::balance::{Candidate, LoadBalancer, PickContext, Picker};
use crate::discover::{Locality, Member, MemberSet};
use crate::endpoint::Endpoint;
use crate::lock::lock;

/// An immutable set of endpoints with its picker. Requests read one; updates swap in another.
#[derive(Debug)]
pub(super) struct EndpointSet {
    all: Box<[Arc<Endpoint>]>,
    /// Those that the picker was made for.
    first: Box<[Arc<Endpoint>]>,
    picker: Arc<dyn Picker>,
}

impl EndpointSet {
    pub(super) fn empty(balancer: &dyn LoadBalancer) -> Self {
        Self::new(Vec::new(), balancer)
    }

    fn new(all: Vec<Arc<Endpoint>>, balancer: &dyn LoadBalancer) -> Self {
        // Later priorities are spares for when there is nobody in those before.
        let priority = all.iter().map(|endpoint| endpoint.priority()).min();
        let first: Box<[_]> = all
            .iter()
            .filter(|endpoint| Some(endpoint.priority()) == priority)
            .map(Arc::clone)
            .collect();
        let candidates: Vec<_> = first
            .iter()
            .map(|endpoint| Candidate::new(endpoint.address(), endpoint.weight()))
            .collect();
        Self { all: all.into(), first, picker: balancer.picker(&candidates) }
    }

    pub(super) fn all(&self) -> &[Arc<Endpoint>] {
        &self.all
    }

    pub(super) fn pick(&self, hash: Option<u64>, attempt: u32) -> Option<&Arc<Endpoint>> {
        let active = |index: usize| {
            self.first.get(index).map_or(0, |endpoint| {
                endpoint.stats().rq_active.load(std::sync::atomic::Ordering::Relaxed)
            })
        };
        let index = self.picker.pick(&PickContext { hash, attempt, active: Some(&active) })?;
        self.first.get(index)
    }
}

/// What makes a member the same one as before. Its weight and priority may change.
type Identity<'a> = (SocketAddr, &'a str, Option<&'a Locality>);

fn identity(member: &Member) -> Identity<'_> {
    (member.address, &member.hostname, member.locality.as_deref())
}

impl MemberSet for Cluster {
    /// Endpoints whose address stays keep their connections and counters. Endpoints that leave
    /// close their idle connections; requests in flight to them finish.
    fn update(&self, members: Vec<Member>) -> bool {
        let inner = &self.inner;
        let _one_at_a_time = lock(&inner.updating);
        let current = inner.endpoints.load_full();

        // Members that are there already keep their endpoint and their place; what is left of
        // `wanted` afterwards is new, what is left of the set has gone.
        let mut wanted: HashMap<Identity<'_>, Vec<&Member>> = HashMap::new();
        for member in members.iter().rev() {
            wanted.entry(identity(member)).or_default().push(member);
        }
        let mut next = Vec::with_capacity(members.len());
        let mut removed = Vec::new();
        let mut altered = false;
        for endpoint in current.all() {
            let same = (endpoint.address(), endpoint.hostname(), endpoint.locality());
            match wanted.get_mut(&same).and_then(Vec::pop) {
                Some(member) => {
                    altered |= endpoint.follow(member);
                    next.push(Arc::clone(endpoint));
                }
                None => removed.push(Arc::clone(endpoint)),
            }
        }
        let kept = next.len();
        for member in &members {
            if let Some(new) = wanted.get_mut(&identity(member)).and_then(Vec::pop) {
                // Envoy counts the choice of a transport socket for each host; here is one.
                inner.stats.default_total_match_count.increment(1);
                next.push(Endpoint::new(new, Arc::clone(&inner.shared)));
            }
        }
        let changed = next.len() > kept || !removed.is_empty();
        if !changed && !altered {
            return false;
        }

        let heaviest = next.iter().map(|endpoint| endpoint.weight()).max().unwrap_or(0);
        let total = next.len();
        inner.endpoints.store(Arc::new(EndpointSet::new(next, &*inner.balancer)));
        for endpoint in removed {
            endpoint.close();
        }
        let stats = &inner.stats;
        if changed {
            stats.membership_change.increment(1);
        }
        stats.membership_degraded.set(0.0);
        stats.membership_excluded.set(0.0);
        stats.membership_total.set(total as f64);
        stats.membership_healthy.set(total as f64);
        stats.max_host_weight.set(f64::from(heaviest));
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(address: &str) -> Member {
        Member::new(address.parse().expect("an address"))
    }

    #[test]
    fn an_endpoint_that_stays_is_the_same_endpoint() {
        let cluster = Cluster::builder("c").build();
        assert!(cluster.update(vec![member("127.0.0.1:1"), member("127.0.0.2:1")]));
        let before = cluster.endpoints();
        assert!(cluster.update(vec![member("127.0.0.2:1"), member("127.0.0.3:1")]));
        let after = cluster.endpoints();
        assert!(Arc::ptr_eq(&before[1], &after[0]));
        assert!(before[0].is_closed() && !after[0].is_closed());
    }

    #[test]
    fn another_order_is_no_change() {
        let cluster = Cluster::builder("c").build();
        cluster.update(vec![member("127.0.0.1:1"), member("127.0.0.2:1")]);
        assert!(!cluster.update(vec![member("127.0.0.2:1"), member("127.0.0.1:1")]));
    }

    #[test]
    fn an_address_given_twice_has_two_turns() {
        let cluster = Cluster::builder("c").build();
        assert!(cluster.update(vec![member("127.0.0.1:1"), member("127.0.0.1:1")]));
        assert_eq!(cluster.endpoints().len(), 2);
        assert!(!cluster.update(vec![member("127.0.0.1:1"), member("127.0.0.1:1")]));
        assert!(cluster.update(vec![member("127.0.0.1:1")]));
        assert_eq!(cluster.endpoints().len(), 1);
    }

    #[test]
    fn a_later_priority_waits_until_the_first_is_empty() {
        let cluster = Cluster::builder("c").build();
        let spare = Member { priority: 1, ..member("127.0.0.2:1") };
        let picks = || -> Vec<_> {
            let set = cluster.inner.endpoints.load();
            (0..3).filter_map(|_| set.pick(None, 0).map(|endpoint| endpoint.address())).collect()
        };
        cluster.update(vec![member("127.0.0.1:1"), spare.clone()]);
        assert_eq!(cluster.endpoints().len(), 2);
        assert_eq!(picks(), [member("127.0.0.1:1").address; 3]);
        cluster.update(vec![spare.clone()]);
        assert_eq!(picks(), [spare.address; 3]);
    }

    #[test]
    fn a_new_priority_keeps_the_endpoint() {
        let cluster = Cluster::builder("c").build();
        cluster.update(vec![member("127.0.0.1:1"), member("127.0.0.2:1")]);
        let before = cluster.endpoints();
        let spare = Member { priority: 1, ..member("127.0.0.1:1") };
        assert!(!cluster.update(vec![spare, member("127.0.0.2:1")]), "the members are the same");
        let after = cluster.endpoints();
        assert!(Arc::ptr_eq(&before[0], &after[0]));
        assert_eq!(after[0].priority(), 1);
        let set = cluster.inner.endpoints.load();
        for _ in 0..3 {
            assert_eq!(set.pick(None, 0).map(|it| it.address()), Some(after[1].address()));
        }
    }

    #[test]
    fn elsewhere_is_another_endpoint() {
        let cluster = Cluster::builder("c").build();
        cluster.update(vec![member("127.0.0.1:1")]);
        let before = cluster.endpoints();
        let zone = Locality { zone: "b".to_owned(), ..Locality::default() };
        let moved = Member { locality: Some(Arc::new(zone.clone())), ..member("127.0.0.1:1") };
        assert!(cluster.update(vec![moved]));
        assert!(before[0].is_closed());
        assert_eq!(cluster.endpoints()[0].locality(), Some(&zone));
    }

    #[test]
    fn a_new_weight_keeps_the_endpoint() {
        let cluster = Cluster::builder("c").build();
        cluster.update(vec![member("127.0.0.1:1")]);
        let before = cluster.endpoints();
        let heavier = Member { weight: 5, ..member("127.0.0.1:1") };
        assert!(!cluster.update(vec![heavier]), "the members are the same");
        assert!(Arc::ptr_eq(&before[0], &cluster.endpoints()[0]));
        assert_eq!(cluster.endpoints()[0].weight(), 5);
    }
}
