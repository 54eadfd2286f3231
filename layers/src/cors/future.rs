use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderValue, Response};
use pin_project_lite::pin_project;

use super::CorsPolicy;
use crate::local_reply::Answered;

pin_project! {
    /// The future of [`Cors`](super::Cors).
    pub struct ResponseFuture<F, R> {
        #[pin]
        answered: Answered<F, R>,
        // Who is allowed to have the response, by which policy.
        told: Option<(HeaderValue, Arc<CorsPolicy>)>,
    }
}

impl<F, R> ResponseFuture<F, R> {
    pub(super) fn call(future: F, told: Option<(HeaderValue, Arc<CorsPolicy>)>) -> Self {
        Self { answered: Answered::call(future), told }
    }

    pub(super) fn reply(reply: Response<R>) -> Self {
        Self { answered: Answered::reply(reply), told: None }
    }
}

impl<F, R, E> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.answered.poll(cx))?;
        if let Some((origin, policy)) = this.told.take() {
            policy.respond(origin, response.headers_mut());
        }
        Poll::Ready(Ok(response))
    }
}

impl<F, R> fmt::Debug for ResponseFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
