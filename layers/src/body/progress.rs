//! How far a request body has come, for layers that outlive its owner.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::time::Instant;

/// How far a request body has come.
///
/// Shared between the body, which an upstream connection reads, and the layers that must know
/// when the request was complete: timeouts and the service time start there, and a response made
/// before it closes an HTTP/1 connection.
#[derive(Debug, Default)]
pub struct RequestProgress {
    bytes: AtomicU64,
    failed: AtomicBool,
    completed: OnceLock<Instant>,
    changed: Notify,
}

impl RequestProgress {
    /// When the last frame was read, once it was.
    pub fn completed_at(&self) -> Option<Instant> {
        self.completed.get().copied()
    }

    /// Whether reading the body failed: the client is gone or sent nonsense.
    pub fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until the body has ended, or failed.
    pub async fn ended(&self) {
        loop {
            let changed = self.changed.notified();
            if self.completed.get().is_some() || self.is_failed() {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn advance(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn finish(&self) {
        if self.completed.set(Instant::now()).is_ok() {
            self.changed.notify_waiters();
        }
    }

    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }
}
