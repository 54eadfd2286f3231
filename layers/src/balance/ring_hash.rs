//! Ring hash: consistent hashing on a ring of points.

use std::fmt::Write as _;
use std::sync::Arc;

use twox_hash::XxHash64;

use super::{Candidate, LoadBalancer, PickContext, Picker};
use crate::stats::{Gauge, Scope};

/// Requests of equal hash go to the same endpoint; when an endpoint comes or goes, few others
/// change theirs.
///
/// Envoy's `RING_HASH`: each endpoint has points on a ring by its weight, at the hashes
/// (xxHash64) of its address with a number, and has the hashes up to each of its points. A request
/// without a hash goes anywhere.
#[derive(Clone, Debug)]
pub struct RingHash {
    minimum: u64,
    maximum: u64,
    stats: Option<Arc<Stats>>,
}

#[derive(Debug)]
struct Stats {
    size: Gauge,
    min_hashes_per_host: Gauge,
    max_hashes_per_host: Gauge,
}

impl RingHash {
    /// With a ring of 1024 to 8 Mi points.
    pub fn new() -> Self {
        Self { minimum: 1024, maximum: 8 << 20, stats: None }
    }

    /// With at least this many points (`minimum_ring_size`): more make shares more exact.
    #[must_use]
    pub fn minimum_size(mut self, points: u64) -> Self {
        self.minimum = points.max(1);
        self
    }

    /// With at most this many points (`maximum_ring_size`).
    #[must_use]
    pub fn maximum_size(mut self, points: u64) -> Self {
        self.maximum = points.max(1);
        self
    }

    /// Shows the ring as `ring_hash_lb.*` in `scope`, which names the cluster.
    #[must_use]
    pub fn stats(mut self, scope: &Scope) -> Self {
        let scope = scope.child("ring_hash_lb");
        self.stats = Some(Arc::new(Stats {
            size: scope.gauge("size"),
            min_hashes_per_host: scope.gauge("min_hashes_per_host"),
            max_hashes_per_host: scope.gauge("max_hashes_per_host"),
        }));
        self
    }

    fn ring(&self, candidates: &[Candidate]) -> (Box<[Point]>, (u64, u64)) {
        let sum: f64 = candidates.iter().map(|c| f64::from(c.weight)).sum();
        let Some(least) = candidates.iter().map(|c| c.weight).min() else {
            return (Box::default(), (0, 0));
        };
        let least = f64::from(least) / sum;
        // The least of all gets a whole number of points, so that equal weights get equally many.
        let scale = ((least * self.minimum as f64).ceil() / least).min(self.maximum as f64);
        let mut ring = Vec::with_capacity(scale.ceil() as usize);
        let (mut fewest, mut most) = (u64::MAX, 0);
        let mut key = String::new();
        let mut target = 0.0;
        for (index, candidate) in candidates.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            key.clear();
            let _ = write!(key, "{}_", candidate.address);
            let stem = key.len();
            target += scale * f64::from(candidate.weight) / sum;
            let mut points = 0;
            while (ring.len() as f64) < target {
                key.truncate(stem);
                let _ = write!(key, "{points}");
                ring.push((XxHash64::oneshot(0, key.as_bytes()), index));
                points += 1;
            }
            fewest = fewest.min(points);
            most = most.max(points);
        }
        ring.sort_unstable();
        (ring.into(), (fewest, most))
    }
}

impl Default for RingHash {
    fn default() -> Self {
        Self::new()
    }
}

impl LoadBalancer for RingHash {
    fn picker(&self, candidates: &[Candidate]) -> Arc<dyn Picker> {
        let (points, hashes) = self.ring(candidates);
        let stats = self.stats.clone().filter(|_| !points.is_empty());
        Arc::new(Ring { points, shown: stats.map(|stats| (stats, hashes)) })
    }
}

/// A hash, and the index of the candidate whose it is.
type Point = (u64, u32);

#[derive(Debug)]
struct Ring {
    /// In the order of their hashes.
    points: Box<[Point]>,
    /// Where to show the fewest and the most points of an endpoint.
    shown: Option<(Arc<Stats>, (u64, u64))>,
}

impl Picker for Ring {
    fn pick(&self, context: &PickContext<'_>) -> Option<usize> {
        let hash = context.hash.unwrap_or_else(|| fastrand::u64(..));
        let at = self.points.partition_point(|(point, _)| *point < hash);
        // A candidate that was turned down: go on from point to point.
        let at = (at + context.attempt as usize).checked_rem(self.points.len())?;
        self.points.get(at).and_then(|(_, index)| usize::try_from(*index).ok())
    }

    fn show(&self) {
        if let Some((stats, (fewest, most))) = &self.shown {
            stats.size.set(self.points.len() as f64);
            stats.min_hashes_per_host.set(*fewest as f64);
            stats.max_hashes_per_host.set(*most as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::candidates;

    fn pick(picker: &dyn Picker, hash: u64) -> usize {
        let context = PickContext { hash: Some(hash), ..PickContext::default() };
        picker.pick(&context).expect("a candidate")
    }

    #[test]
    fn equal_weights_have_equally_many_points() {
        let ring = RingHash::new();
        let (points, (fewest, most)) = ring.ring(&candidates(&[1, 1, 1]));
        // As Envoy: 1024 is rounded up so that each of three has 342.
        assert_eq!((points.len(), fewest, most), (1026, 342, 342));
    }

    #[test]
    fn shares_follow_weights() {
        let picker = RingHash::new().minimum_size(20_000).picker(&candidates(&[1, 3]));
        let mut random = fastrand::Rng::with_seed(1);
        let second = (0..4000).filter(|_| pick(&*picker, random.u64(..)) == 1).count();
        assert!((2850..3150).contains(&second), "{second} of 4000 for three quarters");
    }

    #[test]
    fn a_ring_is_no_larger_than_allowed() {
        let ring = RingHash::new().maximum_size(64);
        assert_eq!(ring.ring(&candidates(&[1, 1, 1])).0.len(), 64);
    }

    #[test]
    fn without_a_hash_all_are_used() {
        let picker = RingHash::new().picker(&candidates(&[1, 1]));
        let used: std::collections::HashSet<_> =
            (0..200).map(|_| picker.pick(&PickContext::default())).collect();
        assert_eq!(used.len(), 2);
    }

    #[test]
    fn an_empty_set_gives_nothing() {
        assert_eq!(RingHash::new().picker(&[]).pick(&PickContext::default()), None);
    }

    #[test]
    fn another_attempt_finds_another_endpoint_in_time() {
        let picker = RingHash::new().picker(&candidates(&[1, 1]));
        let at = |attempt| {
            picker.pick(&PickContext { hash: Some(7), attempt, ..PickContext::default() })
        };
        assert!((1..20).any(|attempt| at(attempt) != at(0)));
    }

    /// Of all hashes, not of some that were chosen for it: those beside a point that moved do move.
    #[test]
    fn who_loses_no_endpoint_keeps_it() {
        let all = candidates(&[1, 2, 1, 1]);
        let before = RingHash::new().minimum_size(4096).picker(&all);
        // The third leaves; the sizes of rings round differently, which moves few points.
        let rest = [all[0], all[1], all[3]];
        let after = RingHash::new().minimum_size(4096).picker(&rest);
        let mut hashes = fastrand::Rng::with_seed(7);
        let (mut kept, mut moved) = (0, 0);
        for _ in 0..100_000 {
            let hash = hashes.u64(..);
            let old = pick(&*before, hash);
            if old == 2 {
                continue;
            }
            let same = all[old].address == rest[pick(&*after, hash)].address;
            *(if same { &mut kept } else { &mut moved }) += 1;
        }
        assert!(moved * 7 < kept, "{moved} moved, {kept} stayed");
    }
}
