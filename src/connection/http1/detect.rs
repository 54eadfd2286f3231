//! Codec AUTO on plain text: HTTP/2 with prior knowledge is told from HTTP/1 by its preface.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// As much of the preface (RFC 9113 section 3.4) as Envoy looks at.
const PREFACE: &[u8] = b"PRI * HTTP/2";

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0 or HTTP/1.1
    Http1,
    /// HTTP/2
    Http2,
}

/// What [`detect`] found.
#[derive(Debug)]
pub struct Detected<IO> {
    /// The protocol.
    pub protocol: Protocol,
    /// The transport.
    pub io: IO,
    /// What was read to find out: for [`Http1Gate::resume`](super::Http1Gate::resume) or [`Replay`].
    pub read: BytesMut,
}

/// Reads just enough to tell HTTP/2 from HTTP/1. The preface may come byte by byte.
///
/// A client that closes before it said anything speaks HTTP/1: there the end is plain.
///
/// # Errors
///
/// That of the connection.
pub async fn detect<IO: AsyncRead + Unpin>(mut io: IO) -> io::Result<Detected<IO>> {
    let mut read = BytesMut::with_capacity(PREFACE.len());
    let protocol = loop {
        if let Some(protocol) = protocol(&read) {
            break protocol;
        }
        let missing = PREFACE.len().saturating_sub(read.len());
        if (&mut io).take(missing as u64).read_buf(&mut read).await? == 0 {
            break Protocol::Http1;
        }
    };
    Ok(Detected { protocol, io, read })
}

/// The protocol that `start`, the first bytes of a connection, belongs to; `None`: too few.
pub(super) fn protocol(start: &[u8]) -> Option<Protocol> {
    if start.starts_with(PREFACE) {
        Some(Protocol::Http2)
    } else if PREFACE.starts_with(start) {
        None
    } else {
        Some(Protocol::Http1)
    }
}

/// A transport that first reads what was read from it before.
#[derive(Debug)]
pub struct Replay<IO> {
    io: IO,
    read: Bytes,
}

impl<IO> Replay<IO> {
    /// Puts `read` in front of what `io` still has.
    pub fn new(io: IO, read: impl Into<Bytes>) -> Self {
        Self { io, read: read.into() }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Replay<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let len = self.read.len().min(buf.remaining());
        buf.put_slice(self.read.get(..len).unwrap_or_default());
        self.read.advance(len);
        if self.read.is_empty() {
            self.read = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Replay<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
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
