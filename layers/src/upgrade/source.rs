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

use crate::body::Body;

/// How much of a tunnel is moved at a time. Nothing is kept between two moves, so an idle tunnel
/// holds no buffer, and one whose other side does not read holds one piece.
pub(crate) const PIECE: usize = 8 * 1024;

/// The client's side of a tunnel, as a request body reads it. Nothing comes before the switch.
#[derive(Default)]
pub(crate) struct Source(Mutex<State>);

#[derive(Default)]
struct State {
    client: Option<Client>,
    /// The client's stream until the switch has been made.
    prepared: Option<Body>,
    closed: bool,
    /// Who waits for the first byte.
    reader: Option<Waker>,
    /// Who waits for the end.
    watcher: Option<Waker>,
}

enum Client {
    /// What hyper gives up.
    Upgraded(ReadHalf<TokioIo<Upgraded>>),
    /// A stream of HTTP/2, which stays a body.
    Body(Body),
}

impl Client {
    /// Reads what there is; an empty piece is the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let body = match self {
            Self::Upgraded(stream) => return poll_piece(stream, cx),
            Self::Body(body) => body,
        };
        loop {
            match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers have no place in a tunnel.
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Poll::Ready(Ok(data));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(Bytes::new())),
            }
        }
    }
}

impl Source {
    /// The switch has been made.
    pub(super) fn open(&self, client: ReadHalf<TokioIo<Upgraded>>) {
        self.begin(Some(Client::Upgraded(client)));
    }

    /// The switch has been made, and the client's stream is the body given before.
    pub(super) fn open_prepared(&self) {
        let prepared = self.lock().prepared.take();
        self.begin(prepared.map(Client::Body));
    }

    /// Keeps the client's stream until the switch has been made.
    pub(super) fn prepare(&self, body: Body) {
        self.lock().prepared = Some(body);
    }

    fn begin(&self, client: Option<Client>) {
        let mut state = self.lock();
        state.client = client;
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
