//! Sending a body over HTTP/2, within the peer's window.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::trailers;

pin_project! {
    /// Sends a body. Ready when its end has been handed over.
    ///
    /// One piece of the body at a time is taken before there is a window for it, so a peer that
    /// does not read holds the body back.
    #[derive(Debug)]
    pub struct SendBody<B> {
        #[pin]
        body: B,
        stream: SendStream<Bytes>,
        began: bool,
    }
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
    /// Sends `body` on `stream`.
    pub fn new(body: B, stream: SendStream<Bytes>) -> Self {
        Self { body, stream, began: false }
    }

    /// The stream: to reset it.
    pub fn stream(self: Pin<&mut Self>) -> &mut SendStream<Bytes> {
        self.project().stream
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
            // The first piece goes without asking: most bodies have no second one.
            if *this.began {
                ready!(poll_window(stream, cx))?;
            }
            match this.body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    *this.began = true;
                    match frame.into_data() {
                        Ok(data) => {
                            let ends = this.body.is_end_stream();
                            stream.send_data(data, ends).map_err(SendError::Connection)?;
                            if ends {
                                return Poll::Ready(Ok(()));
                            }
                        }
                        Err(frame) => {
                            let Ok(mut trailers) = frame.into_trailers() else {
                                continue;
                            };
                            trailers::strip(&mut trailers);
                            stream.reserve_capacity(0);
                            let sent = match trailers.is_empty() {
                                true => stream.send_data(Bytes::new(), true),
                                false => stream.send_trailers(trailers),
                            };
                            return Poll::Ready(sent.map_err(SendError::Connection));
                        }
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(SendError::Body(error)));
                }
                Poll::Ready(None) => {
                    stream.reserve_capacity(0);
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

/// Waits until at least one byte may be sent.
fn poll_window<E>(
    stream: &mut SendStream<Bytes>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), SendError<E>>> {
    stream.reserve_capacity(1);
    while stream.capacity() == 0 {
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
    Poll::Ready(Ok(()))
}
