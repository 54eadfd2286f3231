use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use super::ResponseBody;
use super::clock::Clock;
use crate::error::ProxyError;

pin_project! {
    /// The future of [`Timeout`](super::Timeout).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        clock: Option<Clock>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, clock: Option<Clock>) -> Self {
        Self { inner, clock }
    }
}

impl<F, R> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, ProxyError>>,
    R: http_body::Body,
{
    type Output = Result<Response<ResponseBody<R>>, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // The response first: one that is there counts, however late this task got its turn.
        if let Poll::Ready(result) = this.inner.poll(cx) {
            let mut clock = this.clock.take();
            return Poll::Ready(result.map(|response| {
                if let Some(clock) = &mut clock {
                    clock.answered(response.status());
                }
                response.map(|body| ResponseBody::new(body, clock))
            }));
        }
        match this.clock {
            Some(clock) => Poll::Ready(Err(ready!(clock.poll(cx)))),
            None => Poll::Pending,
        }
    }
}
