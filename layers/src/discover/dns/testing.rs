//! A resolver, a sink and a stats sink to drive discovery with in tests.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::lookup::Half;
use super::{Answer, LookupError, LookupFamily, Resolver};
use crate::discover::{Member, MemberSet, UpdateStats};
use crate::stats::{Counter, Gauge, Histogram, Scope, StatName, StatsSink, Unit};

/// Answers from a table; unknown names don't exist, and `hang` never answers.
#[derive(Debug, Default)]
pub(super) struct FakeResolver {
    table: Mutex<HashMap<String, Half>>,
}

impl FakeResolver {
    pub(super) fn set(&self, name: &str, half: Half) {
        self.table.lock().unwrap().insert(name.to_owned(), half);
    }

    pub(super) fn answers(&self, name: &str, addresses: &[&str]) {
        self.set(name, answer(addresses, 0));
    }

    pub(super) fn fails(&self, name: &str) {
        self.set(name, Err(LookupError::failed("SERVFAIL")));
    }
}

impl Resolver for FakeResolver {
    async fn lookup(&self, name: &str, _: LookupFamily) -> Half {
        if name == "hang" {
            std::future::pending::<()>().await;
        }
        let half = self.table.lock().unwrap().get(name).cloned();
        half.unwrap_or(Err(LookupError::NotFound))
    }
}

pub(super) fn answer(addresses: &[&str], ttl: u64) -> Half {
    Ok(Answer {
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        ttl: Duration::from_secs(ttl),
    })
}

/// Keeps the last set and counts real changes.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    members: Mutex<Vec<Member>>,
    calls: AtomicU64,
}

impl Recorder {
    pub(super) fn addresses(&self) -> Vec<String> {
        let members = self.members.lock().unwrap();
        members.iter().map(|m| m.address.to_string()).collect()
    }

    pub(super) fn members(&self) -> Vec<Member> {
        self.members.lock().unwrap().clone()
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

impl MemberSet for Recorder {
    fn update(&self, members: Vec<Member>) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut known = self.members.lock().unwrap();
        let changed = *known != members;
        *known = members;
        changed
    }
}

/// Counters that can be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Counters {
    pub(super) fn stats(&self) -> UpdateStats {
        UpdateStats::new(&Scope::new(Arc::new(self.clone())).child("cluster.c"))
    }

    /// attempt, success, failure, empty, no_rebuild
    pub(super) fn read(&self) -> [u64; 5] {
        ["attempt", "success", "failure", "empty", "no_rebuild"]
            .map(|leaf| self.value(&format!("cluster.c.update_{leaf}")))
    }

    /// `default.total_match_count`, as far as discovery counts in it.
    pub(super) fn named_again(&self) -> u64 {
        self.value("cluster.c.default.total_match_count")
    }

    fn value(&self, name: &str) -> u64 {
        self.0.lock().unwrap()[name].load(Ordering::Relaxed)
    }
}

impl StatsSink for Counters {
    fn counter(&self, name: &StatName) -> Counter {
        let mut all = self.0.lock().unwrap();
        let value = all.entry(name.full().to_owned()).or_default();
        Counter::new(Arc::clone(value) as _)
    }

    fn gauge(&self, _: &StatName) -> Gauge {
        Gauge::noop()
    }

    fn histogram(&self, _: &StatName, _: Unit) -> Histogram {
        Histogram::noop()
    }
}
