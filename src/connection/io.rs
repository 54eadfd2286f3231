//! A client's byte stream, counted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use front_proxy_layers::gather::{Gathered, gathered, total};
use front_proxy_layers::stats::{Buffered, DownstreamStats};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Counts what goes through: `downstream_cx_{rx,tx}_bytes_total` and what of it is held.
#[derive(Debug)]
pub(crate) struct Counted<IO> {
    io: IO,
    stats: Arc<DownstreamStats>,
    buffered: Buffered,
    /// TLS copies what it is given anyway.
    gather: bool,
}

impl<IO> Counted<IO> {
    pub(crate) fn new(io: IO, stats: Arc<DownstreamStats>, gather: bool) -> Self {
        let buffered = Buffered::new(&stats.cx_rx_bytes_buffered, &stats.cx_tx_bytes_buffered);
        Self { io, stats, buffered, gather }
    }

    fn written(&mut self, polled: Poll<io::Result<usize>>, of: usize) -> Poll<io::Result<usize>> {
        self.buffered.wrote(&polled, of);
        if let Poll::Ready(Ok(written)) = &polled {
            self.stats.cx_tx_bytes_total.increment(*written as u64);
        }
        polled
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Counted<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        self.buffered.read(&polled, read);
        if read > 0 {
            self.stats.cx_rx_bytes_total.increment(read as u64);
        }
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Counted<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(polled, buf.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = if self.gather {
            gathered(bufs, |bufs| match bufs {
                Gathered::One(buf) => Pin::new(&mut self.io).poll_write(cx, buf),
                Gathered::Several(bufs) => Pin::new(&mut self.io).poll_write_vectored(cx, bufs),
            })
        } else {
            Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
        };
        self.written(polled, total(bufs))
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
