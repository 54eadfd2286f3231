//! The end of a body behind its last byte.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http_body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// A body that goes on to its end where hyper stops at its last byte.
///
/// Of a message whose head says how long it is, hyper takes that many bytes and drops the body. Over
/// HTTP/2 the end comes in a frame of its own as often as not: what is dropped before it was given
/// up, to whoever counts, logs, or holds the stream.
pub(super) struct Measured<B> {
    inner: Option<B>,
    /// What is still to come of it; `None` where nothing but the end itself tells where it is.
    left: Option<u64>,
    /// The end came with the last byte.
    ended: bool,
    linger: fn(B),
}

impl<B> Measured<B>
where
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
{
    /// The body of a message with these headers, or of one that hyper writes without a body
    /// whatever they say.
    pub(super) fn new(inner: B, headers: &HeaderMap, bodiless: bool) -> Self {
        let known = inner.is_end_stream() || inner.size_hint().exact().is_some();
        let length = || headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
        let left = match (known, bodiless) {
            (true, _) => None,
            (false, true) => Some(0),
            (false, false) => length(),
        };
        Self { inner: Some(inner), left, ended: false, linger }
    }
}

impl<B> Measured<B> {
    /// The body inside.
    pub(super) fn into_inner(mut self) -> Option<B> {
        self.inner.take()
    }
}

/// How late an end may be. What comes later is given up, as is a body that goes on.
const LATE: Duration = Duration::from_secs(5);

/// Takes the end when it comes.
fn linger<B>(mut body: B)
where
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
{
    // A runtime that is shutting down takes its streams along.
    let Ok(runtime) = Handle::try_current() else { return };
    runtime.spawn(timeout(LATE, async move {
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            if has_data(&frame) {
                return;
            }
        }
    }));
}

fn has_data<D: Buf>(frame: &Frame<D>) -> bool {
    frame.data_ref().is_some_and(Buf::has_remaining)
}

impl<B> Drop for Measured<B> {
    fn drop(&mut self) {
        if self.left == Some(0)
            && !self.ended
            && let Some(inner) = self.inner.take()
        {
            (self.linger)(inner);
        }
    }
}

impl<B: Body + Unpin> Body for Measured<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = &mut *self;
        let Some(inner) = this.inner.as_mut().filter(|_| !this.ended) else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *inner).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            this.ended = true;
        }
        if let (Some(left), Some(Ok(frame))) = (&mut this.left, &frame) {
            *left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.remaining() as u64));
            // The end is often here already: then nobody has to wait for it. Trailers have no place
            // behind a length.
            while *left == 0 && !this.ended && !inner.is_end_stream() {
                match Pin::new(&mut *inner).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) if !has_data(&frame) => {}
                    // More than was announced: it is given up when it is dropped.
                    Poll::Ready(Some(Ok(_))) => {
                        this.left = None;
                        break;
                    }
                    Poll::Ready(_) => this.ended = true,
                    Poll::Pending => break,
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) if !self.ended => inner.size_hint(),
            _ => SizeHint::with_exact(0),
        }
    }
}

impl<B: fmt::Debug> fmt::Debug for Measured<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured")
            .field("inner", &self.inner)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::task::Waker;

    use bytes::Bytes;
    use http::HeaderValue;
    use tokio::sync::mpsc;

    use super::*;
    use crate::body::RequestProgress;

    type Piece = Frame<Bytes>;

    /// A body whose end is seen only when it is asked for, as that of an HTTP/2 stream.
    struct Stream(mpsc::UnboundedReceiver<Piece>);

    impl Body for Stream {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Piece, Infallible>>> {
            self.0.poll_recv(cx).map(|piece| piece.map(Ok))
        }
    }

    /// A body of three bytes that knows whether its end was seen.
    fn body() -> (mpsc::UnboundedSender<Piece>, Measured<crate::body::Body>, Arc<RequestProgress>) {
        let (send, receive) = mpsc::unbounded_channel();
        let mut body = crate::body::Body::new(Stream(receive));
        let progress = body.track().expect("a body");
        let headers = [(CONTENT_LENGTH, HeaderValue::from_static("3"))].into_iter().collect();
        (send, Measured::new(body, &headers, false), progress)
    }

    fn read(body: &mut Measured<crate::body::Body>) -> Bytes {
        let polled = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Some(Ok(frame))) = polled else { panic!("{polled:?}") };
        frame.into_data().expect("data")
    }

    fn data(text: &'static str) -> Piece {
        Frame::data(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn an_end_that_is_here_comes_with_the_last_byte() {
        let (send, mut body, progress) = body();
        for piece in [data("ab"), data("c"), Frame::trailers(HeaderMap::new())] {
            send.send(piece).expect("open");
        }
        drop(send);
        assert_eq!(read(&mut body), "ab");
        assert!(!body.is_end_stream());
        assert_eq!(read(&mut body), "c");
        assert!(body.is_end_stream() && progress.completed_at().is_some());
    }

    #[tokio::test]
    async fn one_that_is_late_is_waited_for() {
        let (send, mut body, progress) = body();
        send.send(data("abc")).expect("open");
        assert_eq!(read(&mut body), "abc");
        drop(body);
        tokio::task::yield_now().await;
        assert!(progress.completed_at().is_none());
        drop(send);
        tokio::task::yield_now().await;
        assert!(progress.completed_at().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_come_is_given_up() {
        let (send, mut body, _) = body();
        send.send(data("abc")).expect("open");
        assert_eq!(read(&mut body), "abc");
        drop(body);
        tokio::time::sleep(LATE / 2).await;
        assert!(!send.is_closed());
        tokio::time::sleep(LATE).await;
        assert!(send.is_closed());
    }

    #[tokio::test]
    async fn a_body_that_goes_on_is_given_up() {
        // Behind the drop, and before it.
        for late in [true, false] {
            let (send, mut body, _) = body();
            send.send(data("abc")).expect("open");
            if !late {
                send.send(data("d")).expect("open");
            }
            assert_eq!(read(&mut body), "abc");
            drop(body);
            if late {
                send.send(data("d")).expect("open");
                tokio::task::yield_now().await;
            }
            assert!(send.is_closed());
        }
    }

    #[tokio::test]
    async fn who_drops_it_earlier_gives_it_up() {
        let (send, mut body, _) = body();
        send.send(data("ab")).expect("open");
        assert_eq!(read(&mut body), "ab");
        drop(body);
        tokio::task::yield_now().await;
        assert!(send.is_closed());
    }
}
