use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::Body as _;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf, ReadHalf};

use crate::http2::Http2Body;

/// How much of a tunnel is moved at a time. Nothing is kept between two moves, so an idle tunnel
/// holds no buffer, and one whose other side does not read holds one piece.
pub(crate) const PIECE: usize = 8 * 1024;

/// The client's side of a tunnel, as a request body reads it. Nothing comes before the switch.
#[derive(Default)]
pub(crate) struct Source(Mutex<State>);

/// The client's half of a stream that was switched.
pub(super) enum Reader {
    Upgraded(ReadHalf<TokioIo<Upgraded>>),
    Stream(Http2Body),
}

#[derive(Default)]
struct State {
    client: Option<Reader>,
    closed: bool,
    /// Who waits for the first byte.
    reader: Option<Waker>,
    /// Who waits for the end.
    watcher: Option<Waker>,
}

impl Source {
    /// The switch has been made.
    pub(super) fn open(&self, client: Reader) {
        let mut state = self.lock();
        state.client = Some(client);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    /// The next piece. The end is an error: a tunnel has none, but the client may leave.
    pub(crate) fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let mut state = self.lock();
        let Some(client) = &mut state.client else {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let piece = ready!(client.poll_piece(cx));
        if !matches!(&piece, Ok(piece) if !piece.is_empty()) {
            state.closed = true;
            if let Some(watcher) = state.watcher.take() {
                watcher.wake();
            }
        }
        Poll::Ready(piece.and_then(|piece| {
            if piece.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(piece) }
        }))
    }

    /// Ready when the client has left.
    pub(super) fn poll_closed(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(());
        }
        state.watcher = Some(cx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panic elsewhere left behind is still a stream and a flag.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// The next piece; an empty one is the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        match self {
            Self::Upgraded(io) => poll_piece(io, cx),
            Self::Stream(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx)).transpose();
                let data = frame.map(|frame| frame.and_then(|frame| frame.into_data().ok()));
                Poll::Ready(data.map(Option::unwrap_or_default).map_err(io::Error::other))
            }
        }
    }
}

/// Reads what there is; an empty piece is the end.
pub(crate) fn poll_piece<IO: AsyncRead + Unpin>(
    io: &mut IO,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Bytes>> {
    let mut scratch = [0; PIECE];
    let mut buf = ReadBuf::new(&mut scratch);
    ready!(Pin::new(io).poll_read(cx, &mut buf))?;
    Poll::Ready(Ok(Bytes::copy_from_slice(buf.filled())))
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Source")
            .field("open", &state.client.is_some())
            .field("closed", &state.closed)
            .finish()
    }
}
