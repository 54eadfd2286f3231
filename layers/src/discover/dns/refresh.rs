//! When a name is looked up again.

use std::time::Duration;

use super::Answer;

/// Envoy refuses refresh rates below a millisecond; looking up without a pause would be a flood.
const SHORTEST: Duration = Duration::from_millis(1);

/// How long to wait between lookups of a name. The wait starts when a lookup has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Refresh {
    /// `dns_refresh_rate`. Default 5 s.
    pub rate: Duration,
    /// `respect_dns_ttl`: wait as long as the TTL says instead, unless that is 0 or there were no
    /// addresses.
    pub respect_ttl: bool,
    /// `dns_failure_refresh_rate`. Without it, failures are followed by `rate` too.
    pub failure: Option<FailureRefresh>,
    /// `dns_jitter`: up to this much is added after a success.
    pub jitter: Duration,
}

impl Default for Refresh {
    fn default() -> Self {
        Self {
            rate: Duration::from_secs(5),
            respect_ttl: false,
            failure: None,
            jitter: Duration::ZERO,
        }
    }
}

/// `dns_failure_refresh_rate`: a random wait below an interval that doubles with every failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureRefresh {
    /// `base_interval`
    pub base: Duration,
    /// `max_interval`. Envoy's default is ten times the base.
    pub max: Duration,
}

/// The waits of one name.
#[derive(Debug)]
pub(super) struct Schedule {
    refresh: Refresh,
    failures: u32,
}

impl Schedule {
    pub(super) fn new(refresh: Refresh) -> Self {
        Self { refresh, failures: 0 }
    }

    /// The wait after a lookup that succeeded.
    pub(super) fn after(&mut self, answer: &Answer) -> Duration {
        self.failures = 0;
        let ttl_says =
            self.refresh.respect_ttl && !answer.addresses.is_empty() && !answer.ttl.is_zero();
        let wait = if ttl_says { answer.ttl } else { self.refresh.rate };
        (wait + below(self.refresh.jitter)).max(SHORTEST)
    }

    /// The wait after a lookup that failed.
    pub(super) fn after_failure(&mut self) -> Duration {
        let Some(FailureRefresh { base, max }) = self.refresh.failure else {
            return self.refresh.rate.max(SHORTEST);
        };
        let interval = base.saturating_mul(2_u32.saturating_pow(self.failures)).min(max);
        self.failures = self.failures.saturating_add(1);
        below(interval).max(SHORTEST)
    }
}

fn below(limit: Duration) -> Duration {
    limit.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(ttl: u64) -> Answer {
        Answer { addresses: vec![[127, 0, 0, 1].into()], ttl: Duration::from_secs(ttl) }
    }

    #[test]
    fn the_ttl_counts_where_it_is_respected_and_says_something() {
        let mut schedule = Schedule::new(Refresh { respect_ttl: true, ..Refresh::default() });
        assert_eq!(schedule.after(&answer(2)), Duration::from_secs(2));
        assert_eq!(schedule.after(&answer(0)), Duration::from_secs(5));
        assert_eq!(
            schedule.after(&Answer { addresses: vec![], ..answer(2) }),
            Duration::from_secs(5)
        );
        let mut schedule = Schedule::new(Refresh::default());
        assert_eq!(schedule.after(&answer(2)), Duration::from_secs(5));
    }

    #[test]
    fn failures_back_off_until_a_success() {
        let mut schedule = Schedule::new(Refresh {
            failure: Some(FailureRefresh {
                base: Duration::from_millis(100),
                max: Duration::from_millis(300),
            }),
            ..Refresh::default()
        });
        let mut longest = [Duration::ZERO; 4];
        for _ in 0..200 {
            for (n, longest) in longest.iter_mut().enumerate() {
                let limit = Duration::from_millis([100, 200, 300, 300][n]);
                let wait = schedule.after_failure();
                assert!(wait >= SHORTEST && wait <= limit, "{wait:?} after {n}");
                *longest = wait.max(*longest);
            }
            schedule.after(&answer(0));
        }
        assert!(longest[1] > Duration::from_millis(150), "{longest:?}");
        assert!(longest[3] > Duration::from_millis(250), "{longest:?}");
    }

    #[test]
    fn without_a_failure_rate_failures_wait_as_long_as_successes() {
        let mut schedule = Schedule::new(Refresh::default());
        assert_eq!(schedule.after_failure(), Duration::from_secs(5));
        assert_eq!(schedule.after_failure(), Duration::from_secs(5));
    }

    #[test]
    fn a_rate_of_nothing_is_not_a_flood() {
        let mut schedule = Schedule::new(Refresh { rate: Duration::ZERO, ..Refresh::default() });
        assert_eq!(schedule.after(&answer(1)), SHORTEST);
        assert_eq!(schedule.after_failure(), SHORTEST);
    }
}
