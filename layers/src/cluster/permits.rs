//! Counting what is taken of a limit, over all workers.

use crate::sync::{AtomicU64, Ordering};

/// How many of a resource are taken, and how many may be.
///
/// Both are one word, the limit in its upper half: the limit may change at any moment, and each step
/// must know which one it was taken under.
#[derive(Debug)]
pub(super) struct Permits(AtomicU64);

/// What a step does to the gauges.
///
/// Two workers may come to show their steps in the other order. Sums come out right all the same,
/// where a value that is set would stay wrong until the next step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// 1: the last one was taken. -1: there is one again.
    pub(super) full: i8,
    /// To what is left.
    pub(super) left: i64,
}

#[derive(Clone, Copy, Debug)]
struct State {
    max: u32,
    taken: u32,
}

impl State {
    fn of(word: u64) -> Self {
        Self { max: (word >> 32) as u32, taken: (word & u64::from(u32::MAX)) as u32 }
    }

    fn word(self) -> u64 {
        u64::from(self.max) << 32 | u64::from(self.taken)
    }

    fn is_full(self) -> bool {
        self.taken >= self.max
    }

    fn left(self) -> i64 {
        i64::from(self.max.saturating_sub(self.taken))
    }

    fn change(self, after: Self) -> Change {
        Change {
            full: i8::from(after.is_full()) - i8::from(self.is_full()),
            left: after.left() - self.left(),
        }
    }
}

impl Permits {
    pub(super) fn new(max: u32) -> Self {
        Self(AtomicU64::new(State { max, taken: 0 }.word()))
    }

    /// Takes one if there is one left.
    ///
    /// The count never goes over the limit for a moment, as it would if one were taken first and
    /// given back where it was too many: another's step at that moment would be misjudged.
    pub(super) fn try_take(&self) -> Option<Change> {
        let one_more = |word| {
            let state = State::of(word);
            (!state.is_full()).then(|| word + 1)
        };
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(taken_after(State::of(before)))
    }

    /// Takes one whether or not there is one left.
    pub(super) fn take(&self) -> Change {
        taken_after(State::of(self.0.fetch_add(1, Ordering::Relaxed)))
    }

    /// Gives one back.
    pub(super) fn give(&self) -> Change {
        let before = State::of(self.0.fetch_sub(1, Ordering::Relaxed));
        before.change(State { taken: before.taken.saturating_sub(1), ..before })
    }

    /// Sets another limit. What is taken stays taken, be it more.
    pub(super) fn limit(&self, max: u32) -> Change {
        let limited = |word| Some(State { max, ..State::of(word) }.word());
        let before = match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, limited) {
            Ok(before) | Err(before) => State::of(before),
        };
        before.change(State { max, ..before })
    }

    pub(super) fn is_free(&self) -> bool {
        !self.state().is_full()
    }

    pub(super) fn taken(&self) -> u32 {
        self.state().taken
    }

    pub(super) fn max(&self) -> u32 {
        self.state().max
    }

    fn state(&self) -> State {
        State::of(self.0.load(Ordering::Relaxed))
    }
}

fn taken_after(before: State) -> Change {
    before.change(State { taken: before.taken.saturating_add(1), ..before })
}
