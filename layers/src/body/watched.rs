use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;

use super::ResponseBody;
use crate::error::ProxyError;

/// What follows a body to its end: a counter, a timer, a log line.
///
/// Dropped before either of the two ends, it was dropped with the body: nobody wants the rest.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not watch a body with data `{D}` and error `{E}`",
    label = "needs `Watch<{D}, {E}>`"
)]
pub trait Watch<D, E>: Sized {
    /// A frame goes by.
    fn frame(&mut self, _frame: &Frame<D>) {}

    /// The body has ended as it should.
    fn ended(self);

    /// The body was cut off. What is given back is dropped with the body.
    fn failed(self, error: &E) -> Option<Self>;
}

pin_project! {
    /// A body that is watched until its end.
    #[derive(Debug)]
    pub struct Watched<B, W> {
        #[pin]
        inner: B,
        watch: Option<W>,
    }
}

impl<B: Body, W: Watch<B::Data, B::Error>> Watched<B, W> {
    pub(crate) fn new(inner: B, mut watch: Option<W>) -> Self {
        // A body that is empty may never be polled: its end is now.
        if inner.is_end_stream()
            && let Some(watch) = watch.take()
        {
            watch.ended();
        }
        Self { inner, watch }
    }
}

impl<B, W> From<Watched<ResponseBody<B>, W>> for ResponseBody<B>
where
    B: Body<Data = Bytes, Error = ProxyError> + Send + 'static,
    W: Watch<Bytes, ProxyError> + Send + 'static,
{
    /// Boxed if somebody is watching.
    fn from(body: Watched<Self, W>) -> Self {
        if body.watch.is_none() {
            return body.inner;
        }
        let local = body.inner.is_local();
        Self::boxed(body, local)
    }
}

impl<B: From<Bytes>, W> From<Bytes> for Watched<B, W> {
    /// Nobody watches what was made here.
    fn from(bytes: Bytes) -> Self {
        Self { inner: bytes.into(), watch: None }
    }
}

impl<B: Body, W: Watch<B::Data, B::Error>> Body for Watched<B, W> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let polled = ready!(this.inner.as_mut().poll_frame(cx));
        if let Some(mut watch) = this.watch.take() {
            match &polled {
                None => watch.ended(),
                Some(Ok(frame)) => {
                    watch.frame(frame);
                    if frame.is_trailers() || this.inner.is_end_stream() {
                        watch.ended();
                    } else {
                        *this.watch = Some(watch);
                    }
                }
                Some(Err(error)) => *this.watch = watch.failed(error),
            }
        }
        Poll::Ready(polled)
    }

    hints_of_inner!();
}
