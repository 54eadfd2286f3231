//! Sending a body over HTTP/2, within the peer's window.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::stats::{Gauge, Level};
use crate::trailers;

pin_project! {
    /// Sends a body. Ready when its end has been handed over.
    ///
    /// One piece of the body at a time is taken, and no more of it handed over than there is a
    /// window for, so a peer that does not read holds the body back.
    #[derive(Debug)]
    pub struct SendBody<B> {
        #[pin]
        body: B,
        stream: SendStream<Bytes>,
        piece: Option<Piece>,
        taken: u64,
        // Bytes that go without asking for a window.
        unasked: usize,
        // `pending_send_bytes`
        pending: Level,
    }
}

/// A frame of the length that every peer takes (RFC 9113 section 4.2).
const UNASKED: usize = 16 << 10;

/// What was taken of the body and is not handed over.
#[derive(Debug)]
struct Piece {
    data: Bytes,
    /// It is the last one.
    ends: bool,
}

/// Why a body was not sent to its end.
#[derive(Debug)]
pub enum SendError<E> {
    /// The body itself failed.
    Body(E),
    /// The peer reset the stream, or it was reset for an error of the peer.
    Reset(Reason),
    /// The connection failed.
    Connection(h2::Error),
}

impl<B> SendBody<B> {
    /// Sends `body` on `stream`. What waits for a window is counted in `pending`.
    pub fn new(body: B, stream: SendStream<Bytes>, pending: &Gauge) -> Self {
        // In use, also where nothing ever waits.
        pending.increment(0.0);
        Self { body, stream, piece: None, taken: 0, unasked: 0, pending: Level::new(pending) }
    }

    /// Of a request: `h2` gives its stream no window before the connection's task has opened it, and
    /// most bodies fit into what goes out with the head.
    #[must_use]
    pub fn of_request(self) -> Self {
        Self { unasked: UNASKED, ..self }
    }

    /// The stream: to reset it.
    pub fn stream(self: Pin<&mut Self>) -> &mut SendStream<Bytes> {
        self.project().stream
    }

    /// Bytes that wait for a window.
    pub fn pending(&self) -> u64 {
        self.pending.held()
    }

    /// Bytes that were taken of the body.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether all of the body was taken: what waits is the end of it.
    pub fn is_last(&self) -> bool {
        self.piece.as_ref().is_some_and(|piece| piece.ends)
    }
}

impl<B: Body<Data = Bytes>> SendBody<B> {
    /// Sends what there is.
    pub fn poll_send(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<B::Error>>> {
        let mut this = self.project();
        let stream = this.stream;
        loop {
            if let Some(piece) = this.piece {
                ready!(poll_piece(stream, piece, (this.unasked, this.pending), cx))?;
                if piece.ends {
                    return Poll::Ready(Ok(()));
                }
                *this.piece = None;
            }
            match this.body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        *this.taken += data.len() as u64;
                        let ends = this.body.is_end_stream();
                        *this.piece = Some(Piece { data, ends });
                    }
                    Err(frame) => {
                        let Ok(mut trailers) = frame.into_trailers() else {
                            continue;
                        };
                        trailers::strip(&mut trailers);
                        let sent = match trailers.is_empty() {
                            true => stream.send_data(Bytes::new(), true),
                            false => stream.send_trailers(trailers),
                        };
                        return Poll::Ready(sent.map_err(SendError::Connection));
                    }
                },
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(SendError::Body(error)));
                }
                Poll::Ready(None) => {
                    let sent = stream.send_data(Bytes::new(), true);
                    return Poll::Ready(sent.map_err(SendError::Connection));
                }
                Poll::Pending => {
                    return match ready!(stream.poll_reset(cx)) {
                        Ok(reason) => Poll::Ready(Err(SendError::Reset(reason))),
                        Err(error) => Poll::Ready(Err(SendError::Connection(error))),
                    };
                }
            }
        }
    }
}

/// Hands a piece over, as its window opens. Ready when all of it is.
fn poll_piece<E>(
    stream: &mut SendStream<Bytes>,
    piece: &mut Piece,
    (unasked, pending): (&mut usize, &mut Level),
    cx: &mut Context<'_>,
) -> Poll<Result<(), SendError<E>>> {
    loop {
        let room = match piece.data.len() {
            0 => 0,
            _ if *unasked > 0 => std::mem::take(unasked),
            wanted => {
                stream.reserve_capacity(wanted);
                ready!(poll_room(stream, wanted, pending, cx))?
            }
        };
        let part = piece.data.split_to(room.min(piece.data.len()));
        let whole = piece.data.is_empty();
        if !part.is_empty() || piece.ends {
            stream.send_data(part, whole && piece.ends).map_err(SendError::Connection)?;
        }
        if whole {
            pending.set(0);
            return Poll::Ready(Ok(()));
        }
    }
}

/// Waits until at least one byte of those that were asked for may be sent.
fn poll_room<E>(
    stream: &mut SendStream<Bytes>,
    wanted: usize,
    pending: &mut Level,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, SendError<E>>> {
    loop {
        let room = stream.capacity();
        if room > 0 {
            return Poll::Ready(Ok(room));
        }
        pending.set(wanted as u64);
        match ready!(stream.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                return Poll::Ready(Err(match error.reason() {
                    Some(reason) if error.is_reset() => SendError::Reset(reason),
                    _ => SendError::Connection(error),
                }));
            }
            // Nothing more can be sent on this stream: it was reset.
            None => return Poll::Ready(Err(SendError::Reset(Reason::CANCEL))),
        }
    }
}
