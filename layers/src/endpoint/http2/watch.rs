//! An upstream's byte stream, with an eye on the frames.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::cluster::ClusterStats;
use crate::endpoint::io::UpstreamIo;
use crate::http2::{Event, Frame, FrameReader, flag, kind};

/// What the frames of a connection have said that `h2` keeps to itself.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The upstream wants no more requests on this connection.
    goaway: AtomicBool,
    settings: AtomicBool,
}

impl Seen {
    pub(super) fn goaway(&self) -> bool {
        self.goaway.load(Ordering::Relaxed)
    }

    /// Whether settings came since this was last asked.
    pub(super) fn take_settings(&self) -> bool {
        self.settings.load(Ordering::Relaxed) && self.settings.swap(false, Ordering::Relaxed)
    }
}

/// Counts resets and notices both ways.
#[derive(Debug)]
pub(super) struct Watched {
    io: UpstreamIo,
    incoming: FrameReader,
    outgoing: FrameReader,
    stats: Arc<ClusterStats>,
    seen: Arc<Seen>,
}

impl Watched {
    pub(super) fn new(io: UpstreamIo, stats: Arc<ClusterStats>, seen: Arc<Seen>) -> Self {
        let (incoming, outgoing) = (FrameReader::new(), FrameReader::of_client());
        Self { io, incoming, outgoing, stats, seen }
    }

    fn received(&self, frame: &Frame) {
        match frame.kind {
            kind::RST_STREAM => self.stats.http2().rx_reset.increment(1),
            kind::GOAWAY if !self.seen.goaway.swap(true, Ordering::Relaxed) => {
                self.stats.cx_close_notify.increment(1);
            }
            kind::SETTINGS if !frame.has(flag::ACK) => {
                self.seen.settings.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    fn sent(&mut self, mut bytes: &[u8]) {
        while let Some(event) = self.outgoing.next(&mut bytes) {
            match event {
                Event::Begin(Frame { kind: kind::RST_STREAM, .. }) => {
                    self.stats.http2().tx_reset.increment(1);
                }
                Event::Begin(Frame { kind: kind::GOAWAY, .. }) => {
                    self.stats.http2().goaway_sent.increment(1);
                }
                _ => {}
            }
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let mut read = buf.filled().get(before..).unwrap_or_default();
        while let Some(event) = self.incoming.next(&mut read) {
            if let Event::Begin(frame) = event {
                self.received(&frame);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.sent(buf.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs))?;
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
