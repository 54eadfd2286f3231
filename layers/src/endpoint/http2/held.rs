//! Streams whose clients are waited for, and which of them the upstream is through with.
//!
//! Envoy's codec puts off the end of a stream whose last frame has come while nobody reads it
//! (`deferred_stream_close`). `h2` does not tell whether more is to come behind what it holds of a
//! response, so whoever follows the frames notes the ends.

use crate::lock::lock;
use crate::sync::{AtomicU32, Mutex, Ordering, fence};

/// So many of the streams that closed last are known by number.
pub(crate) const KNOWN: usize = 128;

/// The streams of a connection whose clients are waited for.
#[derive(Debug)]
pub(crate) struct Held<const N: usize = KNOWN> {
    /// What closed last, each in the place that its number gives: a client is mostly found to be
    /// slow when its response has come already.
    ends: [AtomicU32; N],
    /// How many are held. The usual case is none, and costs no lock.
    count: AtomicU32,
    streams: Mutex<Vec<Stream>>,
}

#[derive(Debug)]
struct Stream {
    id: u32,
    /// Its end is put off.
    closed: bool,
}

impl<const N: usize> Held<N> {
    pub(crate) fn new() -> Self {
        Self {
            ends: std::array::from_fn(|_| AtomicU32::new(0)),
            count: AtomicU32::new(0),
            streams: Mutex::new(Vec::new()),
        }
    }

    /// Both sides have ended a stream. True if that is put off.
    #[inline]
    pub(crate) fn close(&self, id: u32) -> bool {
        self.end(id).store(id, Ordering::Relaxed);
        // Either this sees that the stream is held, or whoever holds it that it has closed.
        fence(Ordering::SeqCst);
        self.count.load(Ordering::Relaxed) > 0 && self.close_held(id)
    }

    #[cold]
    fn close_held(&self, id: u32) -> bool {
        let mut streams = lock(&self.streams);
        let held = streams.iter_mut().find(|stream| stream.id == id && !stream.closed);
        held.map(|stream| stream.closed = true).is_some()
    }

    /// A stream's client is waited for from now on. True if the stream has closed.
    pub(crate) fn hold(&self, id: u32) -> bool {
        let mut streams = lock(&self.streams);
        self.count.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let closed = self.end(id).load(Ordering::Relaxed) == id;
        streams.push(Stream { id, closed });
        closed
    }

    /// It is no longer. True if the stream's end had been put off.
    pub(crate) fn release(&self, id: u32) -> bool {
        let mut streams = lock(&self.streams);
        let Some(at) = streams.iter().position(|stream| stream.id == id) else { return false };
        self.count.fetch_sub(1, Ordering::Relaxed);
        streams.swap_remove(at).closed
    }

    /// A client's streams have odd numbers.
    #[expect(clippy::indexing_slicing, reason = "below the length, which is that of the array")]
    fn end(&self, id: u32) -> &AtomicU32 {
        &self.ends[(id >> 1) as usize % N]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_put_off_once_and_only_where_somebody_is_waited_for() {
        let held = Held::<4>::new();
        assert!(!held.close(1), "nobody is slow");
        assert!(held.hold(1), "it had closed before");
        assert!(!held.close(1), "that is known");
        assert!(!held.hold(3));
        assert!(!held.close(5), "another's");
        assert!(held.close(3));
        assert!(held.release(3));
        assert!(held.release(1));
        assert!(!held.hold(7));
        assert!(!held.release(7), "more of it was to come");
        assert!(!held.release(7));
        assert!(!held.close(7));
    }

    #[test]
    fn what_closed_long_ago_is_forgotten() {
        let held = Held::<4>::new();
        assert!(!held.close(1));
        assert!(!held.close(9));
        assert!(!held.hold(1), "rather than taken for another");
        assert!(held.hold(9));
    }
}
