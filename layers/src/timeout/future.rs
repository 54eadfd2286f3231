use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use super::ResponseBody;
use super::clock::Clock;
use super::striking::Striking;
use crate::error::ProxyError;

pin_project! {
    /// The future of [`Timeout`](super::Timeout).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        clock: Option<Clock>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, clock: Option<Clock>) -> Self {
        Self { inner: Some(inner), clock }
    }
}

impl<F, R> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, ProxyError>>,
    R: http_body::Body,
{
    type Output = Result<Response<ResponseBody<R>>, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        // The response first: one that is there counts, however late this task got its turn.
        let polled = inner.poll(cx);
        if polled.is_ready() {
            let mut clock = this.clock.take();
            return polled.map_ok(|response| {
                if let Some(clock) = &mut clock {
                    clock.answered(response.status());
                }
                response.map(|body| ResponseBody::new(body, clock))
            });
        }
        match this.clock {
            Some(clock) => {
                let error = ready!(clock.poll(cx));
                // What waits for the upstream ends here, where it can be told why.
                let striking = Striking::begin(error.kind());
                this.inner.set(None);
                let attempts = striking.map_or(0, |striking| striking.attempts());
                Poll::Ready(Err(error.with_attempt_count(attempts)))
            }
            None => Poll::Pending,
        }
    }
}
