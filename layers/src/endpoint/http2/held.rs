//! Streams whose clients are waited for: `http2.deferred_stream_close`.
//!
//! Envoy's codec puts off the end of a stream whose last frame has come while nobody reads it. `h2`
//! does not tell whether there is more behind what it holds of a response, so whoever follows the
//! frames notes the ends.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::watch::Seen;
use crate::cluster::ClusterStats;
use crate::lock::lock;

/// So many of the streams that closed last are known by number.
const KNOWN: usize = 128;

/// The streams of a connection whose clients are waited for.
pub(super) struct Held {
    /// What closed last, each in the place that its number gives: a client is mostly found to be
    /// slow when its response has come already.
    ends: [AtomicU32; KNOWN],
    /// How many are held. The usual case is none, and costs no lock.
    count: AtomicUsize,
    streams: Mutex<Vec<Stream>>,
    stats: Arc<ClusterStats>,
}

#[derive(Debug)]
struct Stream {
    id: u32,
    /// Request and response are over, as far as the upstream is concerned.
    closed: bool,
}

impl Held {
    pub(super) fn new(stats: Arc<ClusterStats>) -> Self {
        Self {
            ends: [const { AtomicU32::new(0) }; KNOWN],
            count: AtomicUsize::new(0),
            streams: Mutex::default(),
            stats,
        }
    }

    /// Both sides have ended a stream.
    #[inline]
    pub(super) fn closed(&self, id: u32) {
        // One of this and `hold` sees what the other has stored.
        self.end(id).store(id, Ordering::SeqCst);
        if self.count.load(Ordering::SeqCst) > 0 {
            self.close_held(id);
        }
    }

    #[cold]
    fn close_held(&self, id: u32) {
        let mut streams = lock(&self.streams);
        if let Some(stream) = streams.iter_mut().find(|stream| stream.id == id && !stream.closed) {
            stream.closed = true;
            self.stats.http2().deferred_stream_close.increment(1.0);
        }
    }

    fn hold(&self, id: u32) {
        let mut streams = lock(&self.streams);
        self.count.store(streams.len() + 1, Ordering::SeqCst);
        let closed = self.end(id).load(Ordering::SeqCst) == id;
        if closed {
            self.stats.http2().deferred_stream_close.increment(1.0);
        }
        streams.push(Stream { id, closed });
    }

    fn release(&self, id: u32) {
        let mut streams = lock(&self.streams);
        let Some(at) = streams.iter().position(|stream| stream.id == id) else { return };
        if streams.swap_remove(at).closed {
            self.stats.http2().deferred_stream_close.decrement(1.0);
        }
        self.count.store(streams.len(), Ordering::SeqCst);
    }

    /// A client's streams have odd numbers.
    #[expect(clippy::indexing_slicing, reason = "below the length, which is that of the array")]
    fn end(&self, id: u32) -> &AtomicU32 {
        &self.ends[(id >> 1) as usize % KNOWN]
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("count", &self.count).finish_non_exhaustive()
    }
}

/// One stream of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Http2Stream {
    seen: Arc<Seen>,
    id: u32,
}

impl Http2Stream {
    pub(super) fn new(seen: &Arc<Seen>, id: u32) -> Self {
        Self { seen: Arc::clone(seen), id }
    }

    /// Nobody takes its response until what this returns is dropped.
    pub(crate) fn hold(&self) -> HeldStream {
        self.seen.held.hold(self.id);
        HeldStream(self.clone())
    }
}

/// A stream whose response is not taken.
#[derive(Debug)]
pub(crate) struct HeldStream(Http2Stream);

impl Drop for HeldStream {
    fn drop(&mut self) {
        self.0.seen.held.release(self.0.id);
    }
}
