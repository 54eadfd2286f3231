use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use pin_project_lite::pin_project;

use super::TokenBucket;
use crate::local_reply::Answered;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

pin_project! {
    /// The future of [`LocalRateLimit`](super::LocalRateLimit).
    pub struct ResponseFuture<F, R> {
        #[pin]
        answered: Answered<F, R>,
        told: Option<Arc<TokenBucket>>,
    }
}

impl<F, R> ResponseFuture<F, R> {
    pub(super) fn call(future: F, told: Option<Arc<TokenBucket>>) -> Self {
        Self { answered: Answered::call(future), told }
    }

    pub(super) fn reply(reply: Response<R>, told: Option<Arc<TokenBucket>>) -> Self {
        Self { answered: Answered::reply(reply), told }
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
        if let Some(bucket) = this.told.take() {
            tell(&bucket, response.headers_mut());
        }
        Poll::Ready(Ok(response))
    }
}

/// How things are now that the response goes out.
fn tell(bucket: &TokenBucket, headers: &mut HeaderMap) {
    let seconds = bucket.next_in().as_millis().div_ceil(1000);
    headers.append(LIMIT, HeaderValue::from(bucket.max()));
    headers.append(REMAINING, HeaderValue::from(bucket.remaining()));
    headers.append(RESET, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)));
}

impl<F, R> fmt::Debug for ResponseFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
