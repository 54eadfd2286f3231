//! Counters and gauges: one number per worker, added up when read.
//!
//! A worker only ever writes to its own lane, so recording is one relaxed addition to a cache line
//! that no other worker writes. The slots of one worker lie side by side (a stat costs eight bytes
//! per worker, not a cache line per worker); lanes of different workers never share a line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use front_proxy_layers::worker;
use metrics::GaugeFn;

/// Slots in a block: four double cache lines per lane.
const SLOTS: usize = 64;

/// Hands out slots; a new block begins when one is full.
#[derive(Debug)]
pub(super) struct Slots {
    lanes: usize,
    block: Block,
    next: usize,
}

impl Slots {
    pub(super) fn new(lanes: usize) -> Self {
        Self { lanes, block: block(lanes), next: 0 }
    }

    fn take(&mut self) -> Slot {
        if self.next == SLOTS {
            self.block = block(self.lanes);
            self.next = 0;
        }
        let slot = Slot { block: Arc::clone(&self.block), index: self.next };
        self.next += 1;
        slot
    }
}

/// A counter.
#[derive(Debug)]
pub(super) struct CounterCell {
    slot: Slot,
    // Only set by a reset and by adding nothing: a counter that is not zero has been used.
    used: AtomicBool,
    // What was told to sinks, less what was reset.
    told: AtomicU64,
}

impl CounterCell {
    pub(super) fn new(slots: &mut Slots) -> Self {
        Self { slot: slots.take(), used: AtomicBool::new(false), told: AtomicU64::new(0) }
    }

    pub(super) fn value(&self) -> u64 {
        self.slot.sum()
    }

    pub(super) fn used(&self) -> bool {
        self.used.load(Ordering::Relaxed) || self.value() != 0
    }

    /// Back to zero. The counter stays "used", as Envoy's does.
    pub(super) fn reset(&self) {
        let value = self.slot.take_all();
        if value != 0 {
            self.used.store(true, Ordering::Relaxed);
            self.told.fetch_sub(value, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn increment(&self, by: u64) {
        if by == 0 {
            self.used.store(true, Ordering::Relaxed);
            return;
        }
        self.slot.own().fetch_add(by, Ordering::Relaxed);
    }

    /// Raises it to `value`, for code that counts by itself.
    pub(super) fn absolute(&self, value: u64) {
        // All callers meet on one lane: the largest value wins, however late a smaller one comes.
        self.slot.first().fetch_max(value, Ordering::Relaxed);
    }

    /// What was added since this was last asked, whether or not it was reset.
    pub(super) fn latch(&self) -> u64 {
        let value = self.value();
        value.wrapping_sub(self.told.swap(value, Ordering::Relaxed))
    }
}

/// A gauge of whole numbers.
///
/// Its value is `base` plus what the workers added. Setting it moves `base` only, so that two
/// writers that set and any number that add never lose each other's work.
#[derive(Debug)]
pub(super) struct GaugeCell {
    slot: Slot,
    base: AtomicI64,
    used: AtomicBool,
}

impl GaugeCell {
    pub(super) fn new(slots: &mut Slots) -> Self {
        Self { slot: slots.take(), base: AtomicI64::new(0), used: AtomicBool::new(false) }
    }

    /// Never below zero: a reader may meet a subtraction on one lane before the addition it
    /// belongs to on another.
    pub(super) fn value(&self) -> u64 {
        let value = self.base.load(Ordering::Relaxed).wrapping_add(self.slot.sum().cast_signed());
        u64::try_from(value).unwrap_or(0)
    }

    pub(super) fn used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn add(&self, change: f64) {
        self.slot.own().fetch_add(whole(change).cast_unsigned(), Ordering::Relaxed);
        self.mark();
    }

    pub(super) fn set(&self, value: f64) {
        let added = self.slot.sum().cast_signed();
        self.base.store(whole(value).wrapping_sub(added), Ordering::Relaxed);
        self.mark();
    }

    #[inline]
    fn mark(&self) {
        // Read first: the flag is shared by all workers and is written once.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }
}

/// A gauge of somebody else, which need not hold whole numbers.
#[derive(Debug, Default)]
pub(super) struct FloatCell {
    bits: AtomicU64,
    used: AtomicBool,
}

impl FloatCell {
    pub(super) fn value(&self) -> f64 {
        f64::from_bits(self.bits.load(Ordering::Relaxed))
    }

    pub(super) fn used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }
}

impl GaugeFn for FloatCell {
    fn increment(&self, value: f64) {
        GaugeFn::increment(&self.bits, value);
        self.used.store(true, Ordering::Relaxed);
    }

    fn decrement(&self, value: f64) {
        GaugeFn::decrement(&self.bits, value);
        self.used.store(true, Ordering::Relaxed);
    }

    fn set(&self, value: f64) {
        GaugeFn::set(&self.bits, value);
        self.used.store(true, Ordering::Relaxed);
    }
}

/// The current worker's part of something that is kept once per worker.
#[inline]
pub(super) fn own<T>(lanes: &[T]) -> &T {
    let index = worker::index();
    let count = lanes.len();
    &lanes[if index < count { index } else { index % count }]
}

#[derive(Debug)]
struct Slot {
    block: Block,
    index: usize,
}

impl Slot {
    #[inline]
    fn own(&self) -> &AtomicU64 {
        &own(&self.block).0[self.index % SLOTS]
    }

    fn first(&self) -> &AtomicU64 {
        &self.block[0].0[self.index % SLOTS]
    }

    fn sum(&self) -> u64 {
        let lanes = self.block.iter();
        lanes.fold(0, |sum, lane| {
            sum.wrapping_add(lane.0[self.index % SLOTS].load(Ordering::Relaxed))
        })
    }

    fn take_all(&self) -> u64 {
        let lanes = self.block.iter();
        lanes.fold(0, |sum, lane| {
            sum.wrapping_add(lane.0[self.index % SLOTS].swap(0, Ordering::Relaxed))
        })
    }
}

/// The slots of 64 stats, lane by lane.
type Block = Arc<[Lane]>;

fn block(lanes: usize) -> Block {
    (0..lanes.max(1)).map(|_| Lane::default()).collect()
}

/// Aligned to two cache lines: x86 fetches them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Lane([AtomicU64; SLOTS]);

impl Default for Lane {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; SLOTS])
    }
}

#[expect(clippy::cast_possible_truncation, reason = "gauges are whole numbers; `as` saturates")]
fn whole(value: f64) -> i64 {
    // They almost always are: rounding is a call.
    let cut = value as i64;
    if cut as f64 == value { cut } else { value.round() as i64 }
}
