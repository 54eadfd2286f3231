//! Sending a body over HTTP/2, within the peer's window.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::stats::{Gauge, Level};
use crate::trailers;

pin_project! {
    /// Sends a body. Ready when its end has been handed over.
    ///
    /// One piece of the body at a time is taken, and no more of it handed over than there is a
    /// window for, so a peer that does not read holds the body back. Of a request, a bounded part
    /// is taken while it waits.
    #[derive(Debug)]
    pub struct SendBody<B> {
        #[pin]
        body: B,
        stream: SendStream<Bytes>,
        piece: Option<Piece>,
        ahead: Ahead,
        taken: u64,
        // Bytes that go without asking for a window.
        unasked: usize,
        // `pending_send_bytes`
        pending: Level,
    }
}

/// A frame of the length that every peer takes (RFC 9113 section 4.2).
const UNASKED: usize = 16 << 10;

/// So many bytes of a request are taken while there is no window for them: whether its client has
/// sent all of it decides which timeouts run, and only who reads finds out. Envoy's own mark is the
/// upstream's `initial_stream_window_size`, 16 MiB.
const AHEAD: usize = 1 << 20;

/// And no more pieces than this.
const AHEAD_PIECES: usize = 1024;

/// What was taken of the body behind the piece that waits.
#[derive(Debug, Default)]
struct Ahead {
    limit: usize,
    bytes: usize,
    taken: VecDeque<Taken>,
}

/// What comes out of a body.
#[derive(Debug)]
enum Taken {
    Data(Piece),
    Trailers(HeaderMap),
    End,
}

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
        let (ahead, pending) = (Ahead::default(), Level::new(pending));
        Self { body, stream, piece: None, ahead, taken: 0, unasked: 0, pending }
    }

    /// Of a request: `h2` gives its stream no window before the connection's task has opened it, and
    /// most bodies fit into what goes out with the head. What a client has sent is read up to 1 MiB,
    /// though the upstream grants no window.
    #[must_use]
    pub fn of_request(self) -> Self {
        Self { unasked: UNASKED, ahead: Ahead { limit: AHEAD, ..self.ahead }, ..self }
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
                if poll_piece(stream, piece, this.unasked, cx)?.is_pending() {
                    this.ahead.fill(this.body.as_mut(), piece.ends, this.taken, cx)?;
                    this.pending.set((piece.data.len() + this.ahead.bytes) as u64);
                    return Poll::Pending;
                }
                this.pending.set(this.ahead.bytes as u64);
                if piece.ends {
                    return Poll::Ready(Ok(()));
                }
                *this.piece = None;
            }
            let taken = match this.ahead.next() {
                Some(taken) => Poll::Ready(Ok(taken)),
                None => poll_taken(this.body.as_mut(), this.taken, cx),
            };
            let sent = match taken {
                Poll::Ready(Ok(Taken::Data(piece))) => {
                    *this.piece = Some(piece);
                    continue;
                }
                Poll::Ready(Ok(Taken::Trailers(trailers))) => stream.send_trailers(trailers),
                Poll::Ready(Ok(Taken::End)) => stream.send_data(Bytes::new(), true),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(SendError::Body(error))),
                Poll::Pending => {
                    return match ready!(stream.poll_reset(cx)) {
                        Ok(reason) => Poll::Ready(Err(SendError::Reset(reason))),
                        Err(error) => Poll::Ready(Err(SendError::Connection(error))),
                    };
                }
            };
            return Poll::Ready(sent.map_err(SendError::Connection));
        }
    }
}

/// Takes the next thing out of a body, and counts its bytes.
fn poll_taken<B: Body<Data = Bytes>>(
    mut body: Pin<&mut B>,
    bytes: &mut u64,
    cx: &mut Context<'_>,
) -> Poll<Result<Taken, B::Error>> {
    loop {
        let Some(frame) = ready!(body.as_mut().poll_frame(cx)) else {
            return Poll::Ready(Ok(Taken::End));
        };
        let frame = match frame?.into_data() {
            Ok(data) => {
                *bytes += data.len() as u64;
                let ends = body.is_end_stream();
                return Poll::Ready(Ok(Taken::Data(Piece { data, ends })));
            }
            Err(frame) => frame,
        };
        if let Ok(mut trailers) = frame.into_trailers() {
            trailers::strip(&mut trailers);
            let none = trailers.is_empty();
            return Poll::Ready(Ok(if none { Taken::End } else { Taken::Trailers(trailers) }));
        }
    }
}

impl Ahead {
    #[inline]
    fn next(&mut self) -> Option<Taken> {
        let next = self.taken.pop_front()?;
        if let Taken::Data(piece) = &next {
            self.bytes -= piece.data.len();
        }
        Some(next)
    }

    /// Takes what there is and room for. `ended`: the piece before was the last.
    #[cold]
    fn fill<B: Body<Data = Bytes>>(
        &mut self,
        mut body: Pin<&mut B>,
        ended: bool,
        bytes: &mut u64,
        cx: &mut Context<'_>,
    ) -> Result<(), SendError<B::Error>> {
        let mut ended = self.taken.back().map_or(ended, Taken::is_last);
        while !ended && self.bytes < self.limit && self.taken.len() < AHEAD_PIECES {
            let Poll::Ready(taken) = poll_taken(body.as_mut(), bytes, cx) else { break };
            let taken = taken.map_err(SendError::Body)?;
            if let Taken::Data(piece) = &taken {
                self.bytes += piece.data.len();
            }
            ended = taken.is_last();
            self.taken.push_back(taken);
        }
        Ok(())
    }
}

impl Taken {
    fn is_last(&self) -> bool {
        match self {
            Self::Data(piece) => piece.ends,
            Self::Trailers(_) | Self::End => true,
        }
    }
}

/// Hands a piece over, as its window opens. Ready when all of it is.
fn poll_piece<E>(
    stream: &mut SendStream<Bytes>,
    piece: &mut Piece,
    unasked: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<Result<(), SendError<E>>> {
    loop {
        let room = match piece.data.len() {
            0 => 0,
            _ if *unasked > 0 => std::mem::take(unasked),
            wanted => {
                stream.reserve_capacity(wanted);
                ready!(poll_room(stream, cx))?
            }
        };
        let part = piece.data.split_to(room.min(piece.data.len()));
        let whole = piece.data.is_empty();
        if !part.is_empty() || piece.ends {
            stream.send_data(part, whole && piece.ends).map_err(SendError::Connection)?;
        }
        if whole {
            return Poll::Ready(Ok(()));
        }
    }
}

/// Waits until at least one byte of those that were asked for may be sent.
fn poll_room<E>(
    stream: &mut SendStream<Bytes>,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, SendError<E>>> {
    loop {
        let room = stream.capacity();
        if room > 0 {
            return Poll::Ready(Ok(room));
        }
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
