use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Response, header};
use pin_project_lite::pin_project;

pin_project! {
    /// The future of [`Hashing`](super::Hashing).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        cookies: Option<Vec<HeaderValue>>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, cookies: Option<Vec<HeaderValue>>) -> Self {
        Self { inner, cookies }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut polled = this.inner.poll(cx);
        if let Poll::Ready(Ok(response)) = &mut polled {
            for cookie in this.cookies.take().into_iter().flatten() {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
        }
        polled
    }
}
