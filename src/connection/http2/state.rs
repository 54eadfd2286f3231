//! What the gate of a connection and the connection's owner tell each other.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use front_proxy_layers::http2::CodecStats;
use front_proxy_layers::stats::DownstreamStats;

/// Shared by a gate and the owner of its connection. One task uses it.
#[derive(Debug)]
pub(super) struct GateState {
    pub(super) codec: Arc<CodecStats>,
    stats: Arc<DownstreamStats>,
    /// A malformed request ends its stream only.
    pub(super) keep_connection: bool,
    highest: AtomicU32,
    delivered: AtomicU32,
    serving: AtomicU32,
    parked: AtomicBool,
    notice: AtomicBool,
    ending: Mutex<Option<Ending>>,
}

/// Why the gate has ended the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Not HTTP/2. With the code of a GOAWAY, or none.
    Protocol(Option<u32>),
    /// Too much of what is cheap to send.
    Flood,
}

impl GateState {
    pub(super) fn new(
        codec: Arc<CodecStats>,
        stats: Arc<DownstreamStats>,
        keep_connection: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            codec,
            stats,
            keep_connection,
            highest: AtomicU32::new(0),
            delivered: AtomicU32::new(0),
            serving: AtomicU32::new(0),
            parked: AtomicBool::new(false),
            notice: AtomicBool::new(false),
            ending: Mutex::new(None),
        })
    }

    /// A head begins. False if the stream was there before.
    pub(super) fn opens(&self, stream: u32) -> bool {
        self.highest.fetch_max(stream, Ordering::Relaxed) < stream
    }

    /// The last stream that the client has opened.
    pub(super) fn highest(&self) -> u32 {
        self.highest.load(Ordering::Relaxed)
    }

    /// The last stream whose request came out of `h2`, or never will.
    pub(super) fn delivered(&self) -> u32 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(super) fn deliver(&self, stream: u32) {
        self.delivered.store(stream, Ordering::Relaxed);
    }

    /// Whether the head of a request has begun that `h2` has not let through. Heads come one at a
    /// time, so there is one at most.
    pub(super) fn has_refused(&self) -> bool {
        self.highest() > self.delivered()
    }

    /// Counts a request that will never be served.
    pub(super) fn refuse(&self, stream: u32) {
        self.deliver(stream);
        self.stats.rq_total.increment(1);
        self.stats.rq_http2_total.increment(1);
        self.stats.rq_rx_reset.increment(1);
    }

    /// A client has made no room for a response for too long; `more` of it was still to come.
    pub(super) fn stall(&self, more: bool) {
        if more {
            self.stats.rq_idle_timeout.increment(1);
            self.stats.rq_tx_reset.increment(1);
        } else {
            self.codec.tx_flush_timeout.increment(1);
        }
    }

    /// A request that does not even count.
    pub(super) fn forget(&self, stream: u32) {
        self.deliver(stream);
    }

    pub(super) fn set_serving(&self, streams: usize) {
        self.serving.store(u32::try_from(streams).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    pub(super) fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Relaxed) > 0
    }

    pub(super) fn park(&self) {
        self.parked.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_parked(&self) -> bool {
        self.parked.load(Ordering::Relaxed)
    }

    /// Goes on. True if there was something to go on with.
    pub(super) fn unpark(&self) -> bool {
        self.parked.swap(false, Ordering::Relaxed)
    }

    /// Has the client told that the connection will end.
    pub(super) fn give_notice(&self) {
        self.notice.store(true, Ordering::Relaxed);
    }

    pub(super) fn takes_notice(&self) -> bool {
        self.notice.load(Ordering::Relaxed)
    }

    pub(super) fn notice_given(&self) {
        self.notice.store(false, Ordering::Relaxed);
    }

    pub(super) fn end(&self, ending: Ending) {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner) = Some(ending);
    }

    pub(super) fn ending(&self) -> Option<Ending> {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
