//! Counting what is taken of a limit, over all workers.

use crate::sync::{AtomicU32, Ordering};

/// How many of a resource are taken, and how many may be.
#[derive(Debug)]
pub(super) struct Permits {
    taken: AtomicU32,
    max: u32,
}

/// What a step does to the gauges.
///
/// Two workers may come to show their steps in the other order. Sums come out right all the same,
/// where a value that is set would stay wrong until the next step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// 1: the last one was taken. -1: there is one again.
    pub(super) full: i8,
    /// To what is left.
    pub(super) left: i8,
}

impl Permits {
    pub(super) fn new(max: u32) -> Self {
        Self { taken: AtomicU32::new(0), max }
    }

    /// Takes one if there is one left.
    ///
    /// The count never goes over the limit for a moment, as it would if one were taken first and
    /// given back where it was too many: another's step at that moment would be misjudged.
    pub(super) fn try_take(&self) -> Option<Change> {
        let one_more = |taken| (taken < self.max).then(|| taken + 1);
        let before =
            self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(self.taken_after(before))
    }

    /// Takes one whether or not there is one left.
    pub(super) fn take(&self) -> Change {
        self.taken_after(self.taken.fetch_add(1, Ordering::Relaxed))
    }

    /// Gives one back.
    pub(super) fn give(&self) -> Change {
        let before = self.taken.fetch_sub(1, Ordering::Relaxed);
        Change { full: -i8::from(before == self.max), left: i8::from(before <= self.max) }
    }

    fn taken_after(&self, before: u32) -> Change {
        let within = before < self.max;
        Change { full: i8::from(within && before + 1 == self.max), left: -i8::from(within) }
    }

    pub(super) fn is_free(&self) -> bool {
        self.taken() < self.max
    }

    pub(super) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn max(&self) -> u32 {
        self.max
    }
}
