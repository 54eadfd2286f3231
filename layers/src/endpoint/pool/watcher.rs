//! The task that looks after the idle connections of a shard.

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use tokio::time::{Instant, sleep_until};

use crate::endpoint::Endpoint;
use crate::endpoint::waker::WatcherQueue;
use crate::lock::lock;

/// Looks after the idle connections of one shard: notices those that the upstream closed, and
/// closes those that were idle for too long.
pub(super) struct Watcher {
    endpoint: Weak<Endpoint>,
    home: usize,
    queue: Arc<WatcherQueue>,
}

impl Drop for Watcher {
    /// Its runtime has ended before its endpoint: the next connection has a watcher where it is made.
    fn drop(&mut self) {
        if let Some(endpoint) = self.endpoint.upgrade() {
            lock(&endpoint.shards[self.home].state).watched = false;
        }
    }
}

impl Watcher {
    pub(super) fn new(endpoint: &Arc<Endpoint>, home: usize, queue: Arc<WatcherQueue>) -> Self {
        Self { endpoint: Arc::downgrade(endpoint), home, queue }
    }

    pub(super) async fn run(self) {
        loop {
            let Some(deadline) = self.endpoint.upgrade().map(|endpoint| self.tend(&endpoint))
            else {
                return;
            };
            let mut sleep = deadline.map(|at| Box::pin(sleep_until(at)));
            poll_fn(|cx: &mut Context<'_>| {
                let woken = self.queue.turn(cx.waker());
                let Some(endpoint) = self.endpoint.upgrade() else {
                    return Poll::Ready(());
                };
                for id in woken {
                    self.check(&endpoint, id);
                }
                match &mut sleep {
                    Some(sleep) => sleep.as_mut().poll(cx),
                    None => Poll::Pending,
                }
            })
            .await;
        }
    }

    /// An idle connection was woken: most likely it has been closed.
    fn check(&self, endpoint: &Arc<Endpoint>, id: u64) {
        let shard = &endpoint.shards[self.home];
        let taken = lock(&shard.state).http1.remove(|connection| connection.id() == id);
        let Some(mut connection) = taken else { return };
        if connection.poll_idle() {
            lock(&shard.state).http1.put_cold(connection);
        } else {
            connection.close();
        }
    }

    /// Closes what has been idle or alive for too long. Returns when to look again.
    fn tend(&self, endpoint: &Arc<Endpoint>) -> Option<Instant> {
        let options = &endpoint.shared().options;
        let lives = [options.idle_timeout, options.max_duration];
        if lives.iter().all(Option::is_none) {
            return None;
        }
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let stats = &endpoint.shared().stats;
        let closed = lock(&endpoint.shards[self.home].state).http1.sift(|connection| {
            let idle_end = options.idle_timeout.map(|t| connection.idle_since() + t);
            let life_end = options.max_duration.map(|t| connection.opened() + t);
            let Some(end) = [idle_end, life_end].into_iter().flatten().min() else {
                return true;
            };
            if end > now {
                next = Some(next.map_or(end, |n| n.min(end)));
                return true;
            }
            if idle_end == Some(end) {
                stats.cx_idle_timeout.increment(1);
            } else {
                stats.cx_max_duration_reached.increment(1);
            }
            false
        });
        for connection in closed {
            connection.close();
        }
        // Nothing idle now: whatever becomes idle later can't be due before one whole life.
        next.or_else(|| lives.into_iter().flatten().min().map(|life| now + life))
    }
}
