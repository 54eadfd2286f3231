//! How far a request body has come, for layers that outlive its owner.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{self, Duration};

use http::StatusCode;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::stats::DownstreamStats;
use crate::upgrade::Asked;

/// How far a request body has come.
///
/// Shared between the body, which an upstream connection reads, and the layers that must know
/// when the request was complete: timeouts and the service time start there, and a response made
/// before it closes an HTTP/1 connection.
#[derive(Debug)]
pub struct RequestProgress {
    began: Instant,
    /// Nanoseconds from `began` to the last frame.
    active: AtomicU64,
    asked: Option<Asked>,
    bytes: AtomicU64,
    /// The last that was asked of the body brought something, and more is to come.
    more: AtomicBool,
    client: OnceLock<Arc<DownstreamStats>>,
    failed: AtomicBool,
    completed: OnceLock<Instant>,
    changed: Notify,
}

impl Default for RequestProgress {
    fn default() -> Self {
        Self::new(None)
    }
}

impl RequestProgress {
    pub(super) fn new(asked: Option<Asked>) -> Self {
        Self {
            began: Instant::now(),
            active: AtomicU64::new(0),
            asked,
            bytes: AtomicU64::new(0),
            more: AtomicBool::new(false),
            client: OnceLock::new(),
            failed: AtomicBool::new(false),
            completed: OnceLock::new(),
            changed: Notify::new(),
        }
    }

    /// When something of the body last came through, by tokio's clock, which tests can stop.
    pub fn active_at(&self) -> time::Instant {
        self.began.into_std() + Duration::from_nanos(self.active.load(Ordering::Relaxed))
    }

    /// Whether the request asks for another protocol: then what follows its head is no body, and
    /// the request is never complete.
    pub fn is_switch(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether a response of this status turns the connection into a tunnel.
    pub fn is_granted(&self, status: StatusCode) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.is_granted(status))
    }

    /// When the last frame was read, once it was, by tokio's clock.
    pub fn completed_at(&self) -> Option<time::Instant> {
        self.completed.get().map(|at| at.into_std())
    }

    /// Whether reading the body failed: the client is gone or sent nonsense.
    pub fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What was read of a body of which more could be read, if anybody had room for it.
    pub(crate) fn waits(&self) -> Option<u64> {
        self.more.load(Ordering::Relaxed).then(|| self.bytes())
    }

    /// Where the client is counted that sends the body.
    pub(crate) fn client(&self) -> Option<&DownstreamStats> {
        self.client.get().map(Arc::as_ref)
    }

    pub(crate) fn set_client(&self, stats: &Arc<DownstreamStats>) {
        let _ = self.client.set(Arc::clone(stats));
    }

    pub(super) fn set_more(&self, more: bool) {
        self.more.store(more, Ordering::Relaxed);
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
        self.touch();
    }

    fn touch(&self) {
        let nanos = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.active.store(nanos, Ordering::Relaxed);
    }

    pub(super) fn finish(&self) {
        self.touch();
        if self.completed.set(Instant::now()).is_ok() {
            self.changed.notify_waiters();
        }
    }

    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }
}
