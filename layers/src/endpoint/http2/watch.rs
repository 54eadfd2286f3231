//! An upstream's byte stream, with an eye on the frames.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::held::Held;
use crate::cluster::ClusterStats;
use crate::endpoint::io::UpstreamIo;
use crate::http2::{Event, Frame, FrameReader, Outbound, flag, kind};

/// What the frames of a connection have said that `h2` keeps to itself.
#[derive(Debug)]
pub(super) struct Seen {
    /// The upstream wants no more requests on this connection.
    goaway: AtomicBool,
    settings: AtomicBool,
    held: Held,
    stats: Arc<ClusterStats>,
}

impl Seen {
    pub(super) fn new(stats: Arc<ClusterStats>) -> Self {
        let (goaway, settings) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { goaway, settings, held: Held::new(), stats }
    }

    pub(super) fn goaway(&self) -> bool {
        self.goaway.load(Ordering::Relaxed)
    }

    /// Whether settings came since this was last asked.
    pub(super) fn take_settings(&self) -> bool {
        self.settings.load(Ordering::Relaxed) && self.settings.swap(false, Ordering::Relaxed)
    }

    /// Both sides have ended a stream.
    fn close(&self, stream: u32) {
        if self.held.close(stream) {
            self.stats.http2().deferred_stream_close.increment(1.0);
        }
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
        if self.seen.held.hold(self.id) {
            self.seen.stats.http2().deferred_stream_close.increment(1.0);
        }
        HeldStream(self.clone())
    }
}

/// A stream whose response is not taken: `deferred_stream_close`, once it has come whole.
#[derive(Debug)]
pub(crate) struct HeldStream(Http2Stream);

impl Drop for HeldStream {
    fn drop(&mut self) {
        let Http2Stream { seen, id } = &self.0;
        if seen.held.release(*id) {
            seen.stats.http2().deferred_stream_close.decrement(1.0);
        }
    }
}

/// Counts resets and notices both ways, and tells a response that is whole from one that was cut.
#[derive(Debug)]
pub(super) struct Watched {
    io: UpstreamIo,
    incoming: FrameReader,
    outgoing: FrameReader,
    outbound: Outbound,
    /// Streams whose requests are under way, and whether their responses have ended.
    asking: Vec<(u32, bool)>,
    stats: Arc<ClusterStats>,
    seen: Arc<Seen>,
}

impl Watched {
    pub(super) fn new(io: UpstreamIo, stats: Arc<ClusterStats>, seen: Arc<Seen>) -> Self {
        let (incoming, outgoing) = (FrameReader::new(), FrameReader::of_client());
        let outbound = Outbound::new(stats.http2());
        Self { io, incoming, outgoing, outbound, asking: Vec::new(), stats, seen }
    }

    /// True if the frame is a reset that says nothing is wrong, where something is.
    fn received(&mut self, frame: &Frame) -> bool {
        match frame.kind {
            kind::RST_STREAM => {
                self.stats.http2().rx_reset.increment(1);
                let whole = self.forget(frame.stream);
                return frame.value == NO_ERROR && frame.len == 4 && !whole;
            }
            kind::DATA | kind::HEADERS if frame.has(flag::END_STREAM) => {
                match self.asking.iter_mut().find(|(id, _)| *id == frame.stream) {
                    Some((_, whole)) => *whole = true,
                    None => self.seen.close(frame.stream),
                }
            }
            kind::GOAWAY if !self.seen.goaway.swap(true, Ordering::Relaxed) => {
                self.stats.cx_close_notify.increment(1);
            }
            kind::SETTINGS if !frame.has(flag::ACK) => {
                self.seen.settings.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
        false
    }

    fn sent(&mut self, mut bytes: &[u8]) {
        while let Some(event) = self.outgoing.next(&mut bytes) {
            let Event::Begin(frame) = event else { continue };
            match frame.kind {
                kind::RST_STREAM => {
                    self.stats.http2().tx_reset.increment(1);
                    self.forget(frame.stream);
                }
                kind::GOAWAY => self.stats.http2().goaway_sent.increment(1),
                kind::DATA | kind::HEADERS if frame.has(flag::END_STREAM) => {
                    self.finish(frame.stream);
                }
                kind::HEADERS => self.asking.push((frame.stream, false)),
                _ => {}
            }
        }
    }

    /// The stream's request has ended.
    fn finish(&mut self, stream: u32) {
        if self.forget(stream) {
            self.seen.close(stream);
        }
    }

    /// The stream's request is over. True if its response had ended before.
    fn forget(&mut self, stream: u32) -> bool {
        let found = self.asking.iter().position(|(id, _)| *id == stream);
        found.is_some_and(|at| self.asking.swap_remove(at).1)
    }
}

const NO_ERROR: u32 = 0;

/// The last byte of the code `CANCEL`.
const CANCEL: u8 = 8;

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let filled = buf.filled_mut();
        let mut at = before;
        loop {
            let mut rest = filled.get(at..).unwrap_or_default();
            let left = rest.len();
            let Some(event) = self.incoming.next(&mut rest) else { break };
            at += left - rest.len();
            // RFC 9113 section 8.1: NO_ERROR belongs behind a whole response. `h2` forgets whether
            // it was whole, so a cut one would pass for it. The code ends where the frame does.
            if let Event::Begin(frame) = event
                && self.received(&frame)
                && let Some(code) = filled.get_mut(at - 1)
            {
                *code = CANCEL;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.outbound.wrote(&polled, &this.outgoing, bufs);
        let written = ready!(polled)?;
        let mut left = written;
        for buf in bufs {
            let part = buf.get(..left.min(buf.len())).unwrap_or_default();
            left -= part.len();
            self.sent(part);
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
