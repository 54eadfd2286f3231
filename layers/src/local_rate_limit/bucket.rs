use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Tokens, one for each request that may come.
///
/// It begins full. One number says it all: when the bucket was empty last, had nobody but the
/// steady rate ever filled it.
#[derive(Debug)]
pub struct TokenBucket {
    max: u32,
    /// Nanoseconds that one token takes to come.
    per_token: i64,
    began: Instant,
    /// Nanoseconds after `began`.
    empty_at: AtomicI64,
}

impl TokenBucket {
    /// A bucket of at most `max` tokens; in each `interval` come `per_fill` more, evenly spread.
    pub fn new(max: u32, per_fill: u32, interval: Duration) -> Self {
        let interval = interval.as_nanos() / u128::from(per_fill.max(1));
        let this = Self {
            max,
            per_token: i64::try_from(interval).unwrap_or(i64::MAX).max(1),
            began: Instant::now(),
            empty_at: AtomicI64::new(0),
        };
        this.empty_at.store(this.full(0), Ordering::Relaxed);
        this
    }

    /// Takes a token, if there is one.
    pub fn take(&self) -> bool {
        let now = self.now();
        let taken = self.empty_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |empty_at| {
            let next = empty_at.max(self.full(now)).saturating_add(self.per_token);
            (next <= now).then_some(next)
        });
        taken.is_ok()
    }

    /// The most tokens that there can be.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// How many tokens there are.
    pub fn remaining(&self) -> u32 {
        let whole = self.age() / self.per_token;
        u32::try_from(whole).unwrap_or(u32::MAX).min(self.max)
    }

    /// How long until there is a token; zero if there is one.
    pub fn next_in(&self) -> Duration {
        let left = self.per_token.saturating_sub(self.age());
        Duration::from_nanos(u64::try_from(left).unwrap_or(0))
    }

    /// How long it has been filling.
    fn age(&self) -> i64 {
        let now = self.now();
        now.saturating_sub(self.empty_at.load(Ordering::Relaxed).max(self.full(now)))
    }

    /// When it would have been empty for it to be full then.
    fn full(&self, then: i64) -> i64 {
        then.saturating_sub(self.per_token.saturating_mul(i64::from(self.max)))
    }

    fn now(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }
}
