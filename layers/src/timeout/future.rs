use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use super::ResponseBody;
use super::timer::Timer;
use crate::cluster::ClusterStats;
use crate::error::{ErrorKind, ProxyError};

pin_project! {
    /// The future of [`Timeout`](super::Timeout).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        timer: Option<Timer>,
        stats: Option<Arc<ClusterStats>>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, timer: Timer, stats: Option<Arc<ClusterStats>>) -> Self {
        Self { inner, timer: Some(timer), stats }
    }
}

impl<F, R> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, ProxyError>>,
{
    type Output = Result<Response<ResponseBody<R>>, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // The response first: one that is there counts, however late this task got its turn.
        if let Poll::Ready(result) = this.inner.poll(cx) {
            let (timer, stats) = (this.timer.take(), this.stats.take());
            return Poll::Ready(
                result.map(|response| response.map(|body| ResponseBody::new(body, timer, stats))),
            );
        }
        match this.timer {
            Some(timer) => ready!(timer.poll(cx)),
            None => return Poll::Pending,
        }
        if let Some(stats) = this.stats {
            stats.rq_timeout.increment(1);
        }
        Poll::Ready(Err(ProxyError::new(ErrorKind::UpstreamTimeout)))
    }
}
