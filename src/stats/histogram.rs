//! Histograms of two significant digits, as circllhist keeps them for Envoy.
//!
//! A sample is filed by its two leading digits and its power of ten: 4.7 ms under `47 · 10⁻¹`,
//! 1234 ms under `12 · 10²`. A bin is at most a tenth of its lower edge wide, which bounds the
//! error of every quantile; 90 bins per power of ten bound the memory however many samples come.
//! Samples themselves are never kept. A worker's bins are made when its first sample
//! comes, power of ten by power of ten; from then on recording is one relaxed addition.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::cells::own;

/// Upper bounds of the buckets that Prometheus and `histogram_buckets=` show: Envoy's defaults.
/// [`Rules::buckets`](super::Rules::buckets) replaces them.
pub const DEFAULT_BUCKETS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10000.0,
    30000.0,
    60000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// The quantiles that `/stats` shows.
pub const QUANTILES: [f64; 10] = [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0];

/// Powers of ten that are told apart: from nanoseconds in seconds to petabytes in bytes.
const LOWEST: i32 = -9;
const DECADES: usize = 25;
const BINS: usize = 90;

const POW10: [f64; DECADES + 1] = [
    1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7,
    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
];

/// What was recorded since the start, and between the last two flushes.
#[derive(Debug)]
pub(super) struct HistogramCell {
    lanes: Box<[OnceLock<Box<Lane>>]>,
    flushed: Mutex<Flushed>,
}

impl HistogramCell {
    pub(super) fn new(lanes: usize) -> Self {
        Self {
            lanes: (0..lanes.max(1)).map(|_| OnceLock::new()).collect(),
            flushed: Mutex::default(),
        }
    }

    /// Files `count` samples.
    #[inline]
    pub(super) fn record(&self, sample: f64, count: u64) {
        if let Some(bin) = own(&self.lanes).get_or_init(Box::default).bin(sample) {
            bin.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Everything recorded so far.
    pub(super) fn total(&self) -> Distribution {
        let mut counts = [0; BINS];
        let mut bins = Vec::new();
        let lanes = self.lanes.iter().filter_map(OnceLock::get).collect::<Vec<_>>();
        let zero = lanes.iter().map(|lane| load(&lane.zero)).sum();
        if zero > 0 {
            bins.push(Bin { digits: 0, power: 0, count: zero });
        }
        for (decade, power) in (LOWEST..).take(DECADES).enumerate() {
            let mut filed = lanes.iter().filter_map(|lane| lane.decades[decade].get()).peekable();
            // Samples lie close together, and most histograms have none.
            if filed.peek().is_none() {
                continue;
            }
            counts.fill(0);
            for bins in filed {
                for (sum, bin) in counts.iter_mut().zip(bins.iter()) {
                    *sum += load(bin);
                }
            }
            bins.extend(
                (10..).zip(counts).filter(|(_, count)| *count > 0).map(|(digits, count)| Bin {
                    digits,
                    power,
                    count,
                }),
            );
        }
        Distribution { bins }
    }

    /// What came between the last two flushes; nothing before the first.
    pub(super) fn interval(&self) -> Distribution {
        let flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        flushed.interval.clone()
    }

    /// Ends an interval.
    pub(super) fn flush(&self) {
        let total = self.total();
        let mut flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        flushed.interval = total.since(&flushed.total);
        flushed.total = total;
    }
}

/// Counts by bin, lowest bin first; empty bins are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    bins: Vec<Bin>,
}

impl Distribution {
    /// The bins that hold something.
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// How many samples there are.
    pub fn count(&self) -> u64 {
        self.bins.iter().map(|bin| bin.count).sum()
    }

    /// The sum of all samples, each taken as the middle of its bin.
    ///
    /// That middle is where the mean of values spread by `1/x` over the bin would be, which is
    /// circllhist's choice and keeps wide distributions unbiased.
    #[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 do not occur")]
    pub fn sum(&self) -> f64 {
        let of = |bin: &Bin| bin.middle() * bin.count as f64;
        // The sum of nothing is -0.0, which would be printed as it is.
        self.bins.iter().map(of).sum::<f64>() + 0.0
    }

    /// The values at [`QUANTILES`]; `NaN` where nothing was recorded.
    pub fn quantiles(&self) -> [f64; QUANTILES.len()] {
        self.quantiles_at(QUANTILES)
    }

    /// The values at `quantiles`, which must ascend.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts beyond 2^53 do not occur, ranks are positive"
    )]
    pub fn quantiles_at<const N: usize>(&self, quantiles: [f64; N]) -> [f64; N] {
        let total = self.count();
        let mut bins = self.bins.iter();
        let mut bin = bins.next();
        let mut below = 0;
        quantiles.map(|quantile| {
            // The smallest rank that covers the quantile, counted from one.
            let rank = ((total as f64 * quantile).ceil() as u64).clamp(1, total.max(1));
            while let Some(current) = bin
                && below + current.count < rank
            {
                below += current.count;
                bin = bins.next();
            }
            // Samples are thought to lie evenly inside a bin, none of them on its edges.
            bin.map_or(f64::NAN, |bin| {
                let place = (rank - below) as f64 / (bin.count + 1) as f64;
                bin.lower() + place * bin.width()
            })
        })
    }

    /// How many samples lie at or below each of `bounds`, which must ascend.
    ///
    /// As in Envoy the bin that begins at a bound counts as a whole: nothing at a bound is ever
    /// missed, and what is counted too much lies less than a tenth above it.
    pub fn cumulative(&self, bounds: &[f64]) -> Vec<u64> {
        let mut bins = self.bins.iter().peekable();
        let mut below = 0;
        let below = bounds.iter().map(|bound| {
            while let Some(bin) = bins.next_if(|bin| bin.lower() <= *bound) {
                below += bin.count;
            }
            below
        });
        below.collect()
    }

    /// What was added since `earlier`, which must be an earlier state of the same histogram.
    fn since(&self, earlier: &Self) -> Self {
        let mut old = earlier.bins.iter().peekable();
        let bins = self.bins.iter().filter_map(|bin| {
            let known = old.next_if(|old| (old.power, old.digits) == (bin.power, bin.digits));
            let count = bin.count - known.map_or(0, |old| old.count.min(bin.count));
            (count > 0).then_some(Bin { count, ..*bin })
        });
        Self { bins: bins.collect() }
    }
}

/// Samples with the same two leading digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bin {
    digits: u8,
    power: i32,
    count: u64,
}

impl Bin {
    /// How many samples there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The lower edge, which belongs to the bin.
    pub fn lower(&self) -> f64 {
        // Divided first, as circllhist does, for the same last digits in print.
        f64::from(self.digits) / 10.0 * power_of_ten(self.power)
    }

    /// From the lower to the upper edge.
    pub fn width(&self) -> f64 {
        if self.digits == 0 { 0.0 } else { power_of_ten(self.power - 1) }
    }

    pub(super) fn middle(&self) -> f64 {
        let (lower, width) = (self.lower(), self.width());
        if lower == 0.0 { 0.0 } else { lower + width * (lower / (2.0 * lower + width)) }
    }
}

#[derive(Debug, Default)]
struct Flushed {
    total: Distribution,
    interval: Distribution,
}

type Decade = [AtomicU64; BINS];

/// One worker's part. Aligned so that the zero bin and the pointers of two workers lie apart.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane {
    zero: AtomicU64,
    decades: [OnceLock<Box<Decade>>; DECADES],
}

impl Lane {
    #[inline]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "two digits")]
    fn bin(&self, value: f64) -> Option<&AtomicU64> {
        if value.is_nan() {
            return None;
        }
        if value < POW10[0] {
            return Some(&self.zero);
        }
        let decade = POW10[1..DECADES].partition_point(|&power| power <= value);
        // The tail lifts what a division left a hair below its own bin: 0.3 / 0.1 is less than 3.
        let digits = (value / POW10[decade] * 10.0 + 1e-9) as usize;
        let filed = self.decades[decade].get_or_init(new_decade);
        Some(&filed[digits.clamp(10, 99) - 10])
    }
}

#[cold]
fn new_decade() -> Box<Decade> {
    Box::new([const { AtomicU64::new(0) }; BINS])
}

fn load(bin: &AtomicU64) -> u64 {
    bin.load(Ordering::Relaxed)
}

fn power_of_ten(power: i32) -> f64 {
    usize::try_from(power - LOWEST)
        .ok()
        .and_then(|index| POW10.get(index).copied())
        .unwrap_or_else(|| 10f64.powi(power))
}
