//! Closing without losing the last answer.
//!
//! A socket closed with unread bytes in its receive buffer is reset, and a reset makes the client's
//! kernel throw away what the client has not read yet. So bytes are read and thrown away for a
//! while before the socket is closed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Flushes, ends the sending side, then reads until the client closes too, or until `timeout`.
///
/// # Errors
///
/// That of the connection, where it fails before.
pub async fn lingering_close<IO>(mut io: IO, timeout: Duration) -> io::Result<()>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let close = async {
        io.shutdown().await?;
        Discard(&mut io).await
    };
    tokio::time::timeout(timeout, close).await.unwrap_or(Ok(()))
}

/// Envoy's delayed close: flushes, then reads until the client closes, or until `timeout`, and only
/// then ends the sending side. A timeout of zero closes at once. Returns whether the time ran out
/// (`downstream_cx_delayed_close_timeout`).
///
/// # Errors
///
/// That of the connection, where it fails before.
pub async fn delayed_close<IO>(mut io: IO, timeout: Duration) -> io::Result<bool>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    io.flush().await?;
    let timed_out = if timeout.is_zero() {
        false
    } else {
        match tokio::time::timeout(timeout, Discard(&mut io)).await {
            Ok(end) => end.map(|()| false)?,
            Err(_) => true,
        }
    };
    io.shutdown().await?;
    Ok(timed_out)
}

/// Reads to the end and keeps nothing.
struct Discard<'a, IO>(&'a mut IO);

impl<IO: AsyncRead + Unpin> Future for Discard<'_, IO> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // On the stack of the poll only: the task keeps no buffer while it waits.
        let mut scratch = [0; 4096];
        // A client that never stops sending must not keep the worker from its other connections.
        for _ in 0..16 {
            let mut buf = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut *self.0).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
