//! The app's last answer to a health check.

use std::sync::Mutex;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::lock::lock;

/// Keeps an answer until a clock ticks that began with the layer, as Envoy's does: the first check
/// after each tick asks the app.
#[derive(Debug)]
pub(super) struct Cache {
    interval: Duration,
    began: Instant,
    last: Mutex<Option<Cached>>,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cached {
    pub(super) status: StatusCode,
    pub(super) degraded: bool,
    tick: u128,
}

impl Cache {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, began: Instant::now(), last: Mutex::new(None) }
    }

    pub(super) fn get(&self) -> Option<Cached> {
        let tick = self.tick();
        lock(&self.last).filter(|last| last.tick == tick)
    }

    pub(super) fn set(&self, status: StatusCode, degraded: bool) {
        *lock(&self.last) = Some(Cached { status, degraded, tick: self.tick() });
    }

    fn tick(&self) -> u128 {
        self.began.elapsed().as_nanos() / self.interval.as_nanos().max(1)
    }
}
