//! Strict round robin, weights honoured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Candidate, LoadBalancer, PickContext, Picker};

/// Endpoints take turns, over all workers of the process.
///
/// Envoy's round robin starts anew in each worker, so that few requests over many workers come out
/// uneven. Here the workers share one cursor: of any `n` picks in a row, each of `n` endpoints of
/// equal weight gets one. With weights, each cycle of the sum of the weights gives every
/// endpoint exactly its share, spread as evenly as it goes. When members come or go the cursor
/// stays, so counts differ by at most one for each change.
#[derive(Debug, Default)]
pub struct RoundRobin {
    cursor: Arc<Cursor>,
}

/// On a cache line of its own: it is the one thing on the request path that workers share.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Cursor(AtomicU64);

impl LoadBalancer for RoundRobin {
    fn picker(&self, candidates: &[Candidate]) -> Arc<dyn Picker> {
        let cursor = Arc::clone(&self.cursor);
        if candidates.windows(2).all(|pair| pair[0].weight == pair[1].weight) {
            return Arc::new(Even { cursor, len: candidates.len() as u64 });
        }
        Arc::new(Weighted { cursor, schedule: schedule(candidates) })
    }

    /// Each priority has turns of its own, or two that both get requests would take each other's.
    fn sibling(&self) -> Option<Box<dyn LoadBalancer>> {
        Some(Box::new(Self::default()))
    }
}

#[derive(Debug)]
struct Even {
    cursor: Arc<Cursor>,
    len: u64,
}

impl Picker for Even {
    fn pick(&self, _: &PickContext<'_>) -> Option<usize> {
        let turn = self.cursor.0.fetch_add(1, Ordering::Relaxed);
        turn.checked_rem(self.len).and_then(|index| usize::try_from(index).ok())
    }
}

#[derive(Debug)]
struct Weighted {
    cursor: Arc<Cursor>,
    /// One whole cycle.
    schedule: Box<[u32]>,
}

impl Picker for Weighted {
    fn pick(&self, _: &PickContext<'_>) -> Option<usize> {
        let turn = self.cursor.0.fetch_add(1, Ordering::Relaxed);
        let index = turn.checked_rem(self.schedule.len() as u64)?;
        let chosen = self.schedule.get(usize::try_from(index).ok()?)?;
        usize::try_from(*chosen).ok()
    }
}

/// The longest cycle that is laid out. Weights that need a longer one are scaled down to it.
const LONGEST_CYCLE: u64 = 1 << 16;

/// One cycle of weighted round robin: an endpoint's k-th turn of w falls due at (k + 1/2) / w of the
/// cycle, and turns are taken as they fall due.
fn schedule(candidates: &[Candidate]) -> Box<[u32]> {
    let divisor = candidates.iter().fold(0, |d, c| gcd(d, u64::from(c.weight))).max(1);
    let mut weights: Vec<u64> = candidates.iter().map(|c| u64::from(c.weight) / divisor).collect();
    let sum: u64 = weights.iter().sum();
    if sum > LONGEST_CYCLE {
        for weight in &mut weights {
            *weight = (*weight * LONGEST_CYCLE / sum).max(1);
        }
    }
    let sum: i64 = weights.iter().map(|w| i64::try_from(*w).unwrap_or(i64::MAX)).sum();
    let mut turns: Vec<(f64, u32)> = Vec::with_capacity(usize::try_from(sum).unwrap_or_default());
    for (index, weight) in weights.iter().enumerate() {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        turns.extend((0..*weight).map(|k| ((k as f64 + 0.5) / *weight as f64, index)));
    }
    turns.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    turns.into_iter().map(|(_, index)| index).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::balance::candidates;

    fn picks(picker: &dyn Picker, n: usize) -> Vec<usize> {
        (0..n).map(|_| picker.pick(&PickContext::default()).expect("a candidate")).collect()
    }

    #[test]
    fn equal_endpoints_take_turns() {
        let picker = RoundRobin::default().picker(&candidates(&[1, 1, 1]));
        assert_eq!(picks(&*picker, 7), [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn equal_weights_above_one_are_plain_turns() {
        let picker = RoundRobin::default().picker(&candidates(&[5, 5]));
        assert_eq!(picks(&*picker, 4), [0, 1, 0, 1]);
    }

    #[test]
    fn an_empty_set_gives_nothing() {
        assert_eq!(RoundRobin::default().picker(&[]).pick(&PickContext::default()), None);
    }

    #[test]
    fn the_cursor_outlives_the_set() {
        let balancer = RoundRobin::default();
        assert_eq!(picks(&*balancer.picker(&candidates(&[1, 1])), 3), [0, 1, 0]);
        assert_eq!(picks(&*balancer.picker(&candidates(&[1, 1])), 2), [1, 0]);
    }

    #[test]
    fn workers_share_the_turns() {
        let picker = RoundRobin::default().picker(&candidates(&[1, 1, 1, 1]));
        let counts = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| picks(&*picker, 1000))).collect();
            let mut counts = [0; 4];
            for worker in workers {
                for index in worker.join().expect("no panic") {
                    counts[index] += 1;
                }
            }
            counts
        });
        assert_eq!(counts, [1000; 4]);
    }

    proptest! {
        #[test]
        fn each_cycle_gives_every_endpoint_its_share(weights in prop::collection::vec(1u32..50, 1..12)) {
            let picker = RoundRobin::default().picker(&candidates(&weights));
            let sum: u32 = weights.iter().sum();
            let mut counts = vec![0u32; weights.len()];
            for index in picks(&*picker, sum as usize) {
                counts[index] += 1;
            }
            prop_assert_eq!(counts, weights);
        }

        #[test]
        fn huge_weights_stay_bounded(weights in prop::collection::vec(1u32..u32::MAX, 1..8)) {
            let laid_out = schedule(&candidates(&weights));
            prop_assert!(laid_out.len() as u64 <= LONGEST_CYCLE + weights.len() as u64);
            for index in 0..weights.len() {
                prop_assert!(laid_out.contains(&(index as u32)), "no endpoint is starved");
            }
        }
    }
}
