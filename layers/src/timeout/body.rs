use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;

use super::clock::Clock;
use crate::body::{self, hints_of_inner};
use crate::error::ProxyError;

pin_project! {
    /// A response body that is cut off when the time is up.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        clock: Option<Clock>,
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B, mut clock: Option<Clock>) -> Self
    where
        B: Body,
    {
        if inner.is_end_stream() {
            clock = None;
        } else if let Some(clock) = &mut clock {
            clock.touch();
        }
        Self { inner, clock }
    }

    /// The body inside.
    pub fn into_inner(self) -> B {
        self.inner
    }
}

impl<B> From<ResponseBody<body::ResponseBody<B>>> for body::ResponseBody<B>
where
    B: Body<Data = Bytes, Error = ProxyError> + Send + 'static,
{
    /// Boxed if some time is running.
    fn from(body: ResponseBody<Self>) -> Self {
        if body.clock.is_none() {
            return body.inner;
        }
        let local = body.inner.is_local();
        Self::boxed(body, local)
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Error = ProxyError>,
{
    type Data = B::Data;
    type Error = ProxyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, ProxyError>>> {
        let mut this = self.project();
        if let Poll::Ready(frame) = this.inner.as_mut().poll_frame(cx) {
            if this.inner.is_end_stream() {
                *this.clock = None;
            } else if let Some(clock) = this.clock {
                clock.touch();
            }
            return Poll::Ready(frame);
        }
        match this.clock.as_mut().map(|clock| clock.poll(cx)) {
            Some(Poll::Ready(error)) => {
                *this.clock = None;
                Poll::Ready(Some(Err(error)))
            }
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }

    hints_of_inner!();
}
