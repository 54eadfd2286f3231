//! How one set of endpoints becomes the next: members come and go, and their health changes.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::endpoint_set::EndpointSet;
use super::{Cluster, Inner};
use crate::discover::{Locality, Member, MemberSet};
use crate::endpoint::Endpoint;
use crate::health::HealthFlag;
use crate::health_check::Checker;
use crate::lock::lock;
use crate::outlier::Detector;
use crate::task::Task;

/// What makes a member the same one as before. All else may change.
type Identity<'a> = (SocketAddr, &'a str, Option<&'a Locality>);

fn identity(member: &Member) -> Identity<'_> {
    (member.address, &member.hostname, member.locality.as_deref())
}

impl MemberSet for Cluster {
    /// Endpoints whose address stays keep their connections, counters and health. Endpoints that
    /// leave close their idle connections; requests in flight to them finish.
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
                None if inner.keeps(endpoint) => {
                    endpoint.flags().set(HealthFlag::PendingDynamicRemoval);
                    next.push(Arc::clone(endpoint));
                }
                None => removed.push(Arc::clone(endpoint)),
            }
        }
        let mut priorities: BTreeSet<u32> = removed.iter().map(|gone| gone.priority()).collect();
        for member in &members {
            if let Some(new) = wanted.get_mut(&identity(member)).and_then(Vec::pop) {
                // Envoy counts the choice of a transport socket for each host; here is one.
                inner.stats.default_total_match_count.increment(1);
                priorities.insert(member.priority);
                next.push(Endpoint::new(new, Arc::clone(&inner.shared)));
            }
        }
        let changed = !priorities.is_empty();
        if !changed && !altered {
            inner.settle();
            return false;
        }
        inner.publish(next, priorities.len().max(1));
        for endpoint in removed {
            endpoint.close();
        }
        // Each priority is a set of its own.
        inner.stats.membership_change.increment(priorities.len() as u64);
        inner.tasks.get_or_init(|| tasks(inner));
        changed
    }

    /// There may be no members, but that is known now.
    fn failed(&self) {
        self.inner.settle();
    }
}

impl Inner {
    /// Makes new pickers, for endpoints whose health has changed.
    pub(crate) fn refresh(&self) {
        self.review(|_| true);
    }

    /// Looks at all endpoints while nobody else changes anything. If `review` has changed the
    /// health of any, new pickers are made.
    pub(crate) fn review(&self, review: impl FnOnce(&[Arc<Endpoint>]) -> bool) {
        let _one_at_a_time = lock(&self.updating);
        let current = self.endpoints.load_full();
        if !review(current.all()) {
            return;
        }
        let (next, removed): (Vec<_>, Vec<_>) =
            current.all().iter().cloned().partition(|endpoint| !is_overdue(endpoint));
        // Health is looked at in all of them.
        let reviewed: BTreeSet<u32> = next.iter().map(|endpoint| endpoint.priority()).collect();
        self.publish(next, reviewed.len().max(1));
        for endpoint in &removed {
            endpoint.close();
        }
        let priorities: BTreeSet<u32> = removed.iter().map(|gone| gone.priority()).collect();
        self.stats.membership_change.increment(priorities.len() as u64);
    }

    /// Tells those who wait for the first checks.
    pub(crate) fn announce(&self) {
        self.changes.send_replace(());
    }

    /// Whether nobody waits for the first members any more, nor for their first checks.
    fn settle(&self) {
        let awaits_check = |endpoint: &Arc<Endpoint>| endpoint.awaits_check();
        if !self.endpoints.load().all().iter().any(awaits_check) {
            self.settled.store(true, Ordering::Relaxed);
        }
    }

    /// Swaps the set, while nobody else does. `priorities` is how many of them are others now.
    fn publish(&self, next: Vec<Arc<Endpoint>>, priorities: usize) {
        let total = next.len();
        if let Some(checker) = &self.checker {
            checker.count(&next);
        }
        if let Some(detector) = &self.detector {
            detector.count(&next);
        }
        let set = EndpointSet::new(next, &self.balancers, &self.keys.health(&self.shared.health));
        let (stats, counts) = (&self.stats, set.counts());
        self.endpoints.store(Arc::new(set));
        if self.settled.load(Ordering::Relaxed) {
            self.updated.increment(priorities as u64);
        } else {
            self.settle();
        }
        stats.membership_healthy.set(counts.healthy as f64);
        stats.membership_degraded.set(counts.degraded as f64);
        stats.membership_excluded.set(counts.excluded as f64);
        stats.membership_total.set(total as f64);
        self.announce();
    }

    /// Whether an endpoint that is no member any more stays for its health.
    fn keeps(&self, endpoint: &Endpoint) -> bool {
        endpoint.is_checked()
            && !self.shared.health.ignore_health_on_removal
            && !has_failed(endpoint)
    }
}

/// Whether an endpoint was kept for its health and has lost that.
fn is_overdue(endpoint: &Endpoint) -> bool {
    endpoint.health().contains(HealthFlag::PendingDynamicRemoval) && has_failed(endpoint)
}

fn has_failed(endpoint: &Endpoint) -> bool {
    let flags = endpoint.health();
    flags.contains(HealthFlag::FailedActiveHc) || flags.contains(HealthFlag::FailedStatus)
}

/// What goes on beside the requests, begun with the first members: who is only asked whether a
/// configuration is sound needs no runtime.
fn tasks(inner: &Arc<Inner>) -> Vec<Task> {
    let mut tasks = Vec::new();
    if inner.checker.is_some() {
        let changes = inner.changes.subscribe();
        tasks.push(Task::spawn(Checker::run(Arc::downgrade(inner), changes)));
    }
    if let Some(settings) = &inner.shared.outlier {
        tasks.push(Task::spawn(Detector::run(Arc::downgrade(inner), settings.load().interval)));
    }
    tasks
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::stats::Counter;

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
    fn what_goes_on_beside_requests_begins_with_the_first_members() {
        use crate::health_check::{HealthCheck, TcpProbe};
        // Without a runtime.
        let builder = Cluster::builder("c").outlier_detection(Default::default());
        let cluster = builder.health_check(HealthCheck::new(TcpProbe::default())).build();
        assert!(cluster.inner.tasks.get().is_none());
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
            (0..3)
                .filter_map(|_| set.pick(None, 0).endpoint.map(|endpoint| endpoint.address()))
                .collect()
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
            assert_eq!(set.pick(None, 0).endpoint.map(|it| it.address()), Some(after[1].address()));
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

    #[test]
    fn changes_are_counted_for_each_priority_once_members_are_known() {
        let updated = Arc::new(AtomicU64::new(0));
        let counter = Counter::new(Arc::clone(&updated) as _);
        let cluster = Cluster::builder("c").updated(counter).build();
        let seen = || updated.load(Ordering::Relaxed);
        let spare = |address| Member { priority: 1, ..member(address) };
        cluster.update(vec![member("127.0.0.1:1"), spare("127.0.0.2:1")]);
        assert_eq!(seen(), 0, "those are the first");
        cluster.update(vec![member("127.0.0.1:1"), spare("127.0.0.3:1")]);
        assert_eq!(seen(), 1);
        cluster.update(vec![member("127.0.0.4:1"), spare("127.0.0.5:1")]);
        assert_eq!(seen(), 3);
        cluster.update(vec![spare("127.0.0.5:1"), member("127.0.0.4:1")]);
        assert_eq!(seen(), 3, "nothing changed");
        cluster.inner.refresh();
        assert_eq!(seen(), 5, "the health of both may have");
    }

    #[test]
    fn nobody_is_known_too() {
        let updated = Arc::new(AtomicU64::new(0));
        let cluster = |counter: &Arc<AtomicU64>| {
            Cluster::builder("c").updated(Counter::new(Arc::clone(counter) as _)).build()
        };
        let (nobody, failed) = (cluster(&updated), cluster(&updated));
        nobody.update(Vec::new());
        failed.failed();
        for cluster in [nobody, failed] {
            cluster.update(vec![member("127.0.0.1:1")]);
        }
        assert_eq!(updated.load(Ordering::Relaxed), 2);
    }
}
