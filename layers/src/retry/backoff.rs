//! How long to wait before the next try.

use std::time::Duration;

/// Exponential back-off with full jitter, as Envoy's: each wait is drawn from zero to a bound,
/// which starts at the base interval and doubles up to the longest.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    bound: Duration,
    max: Duration,
}

impl Backoff {
    pub(super) fn new(base: Duration, max: Duration) -> Self {
        let base = base.max(Duration::from_millis(1));
        Self { bound: base, max: max.max(base) }
    }

    /// The next wait, in whole milliseconds and less than the bound.
    pub(super) fn next(&mut self) -> Duration {
        let bound = u64::try_from(self.bound.as_millis()).unwrap_or(u64::MAX).max(1);
        self.bound = self.bound.saturating_mul(2).min(self.max);
        Duration::from_millis(fastrand::u64(..bound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_drawn_below_a_doubling_bound() {
        let ms = Duration::from_millis;
        for (wait, bound) in [(0, 25), (1, 50), (2, 100), (3, 200), (4, 250), (5, 250)] {
            let longest = (0..2000)
                .map(|_| {
                    let mut backoff = Backoff::new(ms(25), ms(250));
                    (0..wait).for_each(|_| {
                        let _ = backoff.next();
                    });
                    backoff.next()
                })
                .max();
            let longest = longest.expect("some").as_millis();
            assert!(longest < bound, "{longest} < {bound}");
            assert!(longest > bound * 9 / 10, "{longest} of {bound}: all of the range is used");
        }
    }

    #[test]
    fn less_than_a_millisecond_counts_as_one() {
        assert_eq!(Backoff::new(Duration::ZERO, Duration::ZERO).next(), Duration::ZERO);
    }
}
