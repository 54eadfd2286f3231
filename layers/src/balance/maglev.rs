//! Maglev: consistent hashing by a table.

use std::sync::Arc;

use twox_hash::XxHash64;

use super::{Candidate, LoadBalancer, PickContext, Picker};
use crate::stats::{Gauge, Scope};

/// Requests of equal hash go to the same endpoint, by one look into a table.
///
/// Envoy's `MAGLEV`, after "Maglev: A Fast and Reliable Software Network Load Balancer" (section
/// 3.4): endpoints take turns in filling a table, each in an order of its own. Shares are nearly
/// exact, and picking is faster than on a [ring](super::RingHash); when endpoints come or go, a few
/// more requests change theirs. A request without a hash goes anywhere.
#[derive(Clone, Debug)]
pub struct Maglev {
    size: u64,
    stats: Option<Arc<Stats>>,
}

#[derive(Debug)]
struct Stats {
    min_entries_per_host: Gauge,
    max_entries_per_host: Gauge,
}

impl Maglev {
    /// With a table of 65537 entries.
    pub fn new() -> Self {
        Self { size: 65_537, stats: None }
    }

    /// With a table of this size (`table_size`), which has to be a prime number: otherwise an
    /// endpoint's order need not lead through the whole table.
    ///
    /// Returns `None` for one that is not.
    pub fn with_size(size: u64) -> Option<Self> {
        is_prime(size).then(|| Self { size, ..Self::new() })
    }

    /// Shows the table as `maglev_lb.*` in `scope`, which names the cluster.
    #[must_use]
    pub fn stats(mut self, scope: &Scope) -> Self {
        let scope = scope.child("maglev_lb");
        self.stats = Some(Arc::new(Stats {
            min_entries_per_host: scope.gauge("min_entries_per_host"),
            max_entries_per_host: scope.gauge("max_entries_per_host"),
        }));
        self
    }
}

impl Default for Maglev {
    fn default() -> Self {
        Self::new()
    }
}

fn is_prime(n: u64) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

impl LoadBalancer for Maglev {
    fn picker(&self, candidates: &[Candidate]) -> Arc<dyn Picker> {
        // A table has nothing to say where there is nothing to choose.
        let size = if candidates.len() == 1 { 1 } else { self.size };
        let mut builders = builders(candidates, size);
        let slots = fill(&mut builders, size);
        let counts = || builders.iter().map(|builder| builder.count);
        let entries = counts().min().zip(counts().max());
        Arc::new(Table { slots, shown: self.stats.clone().zip(entries) })
    }
}

/// An endpoint while the table is being filled.
struct Builder {
    index: u32,
    offset: u64,
    skip: u64,
    next: u64,
    weight: f64,
    due: f64,
    count: u64,
}

fn builders(candidates: &[Candidate], size: u64) -> Vec<Builder> {
    let mut builders: Vec<_> = candidates
        .iter()
        .enumerate()
        .map(|(index, candidate)| {
            let key = candidate.address.to_string();
            let builder = Builder {
                index: u32::try_from(index).unwrap_or(u32::MAX),
                offset: XxHash64::oneshot(0, key.as_bytes()) % size,
                skip: XxHash64::oneshot(1, key.as_bytes()) % (size - 1).max(1) + 1,
                next: 0,
                weight: f64::from(candidate.weight),
                due: 0.0,
                count: 0,
            };
            (candidate.address, builder)
        })
        .collect();
    // Not the order in which they became members: all proxies of one cluster should agree.
    builders.sort_by_key(|(address, _)| *address);
    builders.into_iter().map(|(_, builder)| builder).collect()
}

fn fill(builders: &mut [Builder], size: u64) -> Box<[u32]> {
    const EMPTY: u32 = u32::MAX;
    let heaviest = builders.iter().map(|builder| builder.weight).fold(0.0, f64::max);
    if builders.is_empty() {
        return Box::default();
    }
    let mut table = vec![EMPTY; usize::try_from(size).unwrap_or_default()];
    let mut left = table.len();
    let mut round = 0.0;
    while left > 0 {
        round += 1.0;
        for builder in builders.iter_mut() {
            // The heaviest has a turn in every round, one of a third of its weight in every third.
            if left == 0 || round * builder.weight < builder.due {
                continue;
            }
            builder.due += heaviest;
            loop {
                let at = (builder.offset + builder.skip * builder.next) % size;
                builder.next += 1;
                let slot = usize::try_from(at).ok().and_then(|at| table.get_mut(at));
                if let Some(slot) = slot.filter(|slot| **slot == EMPTY) {
                    *slot = builder.index;
                    break;
                }
            }
            builder.count += 1;
            left -= 1;
        }
    }
    table.into()
}

#[derive(Debug)]
struct Table {
    slots: Box<[u32]>,
    /// Where to show the least and the most entries of an endpoint.
    shown: Option<(Arc<Stats>, (u64, u64))>,
}

impl Picker for Table {
    fn pick(&self, context: &PickContext<'_>) -> Option<usize> {
        let mut hash = context.hash.unwrap_or_else(|| fastrand::u64(..));
        if context.attempt > 0 {
            // A candidate that was turned down: look elsewhere, the same place for the same hash.
            hash ^= u64::MAX - u64::from(context.attempt) + 1;
        }
        let at = hash.checked_rem(self.slots.len() as u64)?;
        let index = self.slots.get(usize::try_from(at).ok()?)?;
        usize::try_from(*index).ok()
    }

    fn show(&self) {
        if let Some((stats, (least, most))) = &self.shown {
            stats.min_entries_per_host.set(*least as f64);
            stats.max_entries_per_host.set(*most as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::candidates;

    fn table(weights: &[u32], size: u64) -> Vec<u32> {
        fill(&mut builders(&candidates(weights), size), size).to_vec()
    }

    fn count(table: &[u32], index: u32) -> usize {
        table.iter().filter(|i| **i == index).count()
    }

    #[test]
    fn equal_endpoints_have_equally_many_entries() {
        let table = table(&[1, 1, 1], 1009);
        for index in 0..3 {
            assert!((336..=337).contains(&count(&table, index)));
        }
    }

    #[test]
    fn shares_follow_weights() {
        let table = table(&[1, 3], 1009);
        assert!((250..=255).contains(&count(&table, 0)), "{}", count(&table, 0));
    }

    #[test]
    fn few_move_when_one_leaves() {
        let all = table(&[1; 10], 65_537);
        let rest = table(&[1; 9], 65_537);
        let moved = all.iter().zip(&rest).filter(|(a, b)| **a != 9 && a != b).count();
        assert!(moved < all.len() / 10, "{moved} moved though their endpoint stayed");
    }

    #[test]
    fn the_order_of_members_does_not_matter() {
        let mut members = candidates(&[1, 2, 1]);
        let one = Maglev::new().picker(&members);
        members.reverse();
        let other = Maglev::new().picker(&members);
        for hash in 0..1000 {
            let context = PickContext { hash: Some(hash), ..PickContext::default() };
            assert_eq!(one.pick(&context), other.pick(&context).map(|index| 2 - index));
        }
    }

    #[test]
    fn one_endpoint_has_one_entry() {
        let context = |hash| PickContext { hash: Some(hash), ..PickContext::default() };
        let picker = Maglev::new().picker(&candidates(&[7]));
        assert_eq!([0, 1, u64::MAX].map(|hash| picker.pick(&context(hash))), [Some(0); 3]);
        assert_eq!(table(&[7], 1), [0]);
    }

    #[test]
    fn sizes_are_prime() {
        assert!(Maglev::with_size(65_537).is_some() && Maglev::with_size(2).is_some());
        assert!(Maglev::with_size(65_536).is_none() && Maglev::with_size(1).is_none());
    }

    #[test]
    fn an_empty_set_gives_nothing() {
        assert_eq!(Maglev::new().picker(&[]).pick(&PickContext::default()), None);
    }

    #[test]
    fn another_attempt_looks_elsewhere() {
        let picker = Maglev::new().picker(&candidates(&[1; 5]));
        let at = |attempt| {
            picker.pick(&PickContext { hash: Some(7), attempt, ..PickContext::default() })
        };
        assert!((1..20).any(|attempt| at(attempt) != at(0)));
        assert_eq!(at(1), at(1));
    }
}
