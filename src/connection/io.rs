//! A client's byte stream, counted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use front_proxy_layers::gather::{Gathered, gathered};
use front_proxy_layers::stats::DownstreamStats;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Counts what goes through: `downstream_cx_rx_bytes_total` and `downstream_cx_tx_bytes_total`.
#[derive(Debug)]
pub(crate) struct Counted<IO> {
    io: IO,
    stats: Arc<DownstreamStats>,
    /// TLS copies what it is given anyway.
    gather: bool,
}

impl<IO> Counted<IO> {
    pub(crate) fn new(io: IO, stats: Arc<DownstreamStats>, gather: bool) -> Self {
        Self { io, stats, gather }
    }

    fn written(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
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
        self.written(polled)
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
        self.written(polled)
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
