//! A body that comes in over HTTP/2.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};

/// The body of a request or response that comes in over HTTP/2.
///
/// Its window opens again as its data is taken out: a reader that waits holds the sender back.
pub struct Http2Body {
    stream: RecvStream,
    data_ended: bool,
    ended: bool,
    /// A reset without an error is an end.
    spares: bool,
}

impl Http2Body {
    /// Of this stream.
    pub fn new(stream: RecvStream) -> Self {
        let ended = stream.is_end_stream();
        Self { stream, data_ended: ended, ended, spares: false }
    }

    /// Of a response: a reset without an error only says that the rest of the request is not
    /// wanted (RFC 9113 section 8.1). `h2` does not tell whether the response was whole, so whoever
    /// reads the frames has to see to it that such a reset comes behind a whole one.
    pub(crate) fn of_response(stream: RecvStream) -> Self {
        Self { spares: true, ..Self::new(stream) }
    }

    /// The number of the stream.
    pub(crate) fn stream_id(&self) -> u32 {
        self.stream.stream_id().as_u32()
    }
}

impl Body for Http2Body {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        while !this.data_ended {
            match ready!(this.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    this.stream.flow_control().release_capacity(data.len())?;
                    this.ended = this.stream.is_end_stream();
                    // DATA without content ends streams; it is no content by itself.
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Some(Err(error)) => {
                    this.ended = true;
                    let no_error = error.reason() == Some(h2::Reason::NO_ERROR);
                    let stops = this.spares && error.is_reset() && no_error;
                    return Poll::Ready((!stops).then_some(Err(error)));
                }
                None => this.data_ended = true,
            }
        }
        let trailers = ready!(this.stream.poll_trailers(cx));
        this.ended = true;
        match trailers {
            Ok(None) => Poll::Ready(None),
            Ok(Some(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

impl fmt::Debug for Http2Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Body").field("ended", &self.is_end_stream()).finish_non_exhaustive()
    }
}
