use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::timer::Timer;
use crate::cluster::ClusterStats;
use crate::error::{ErrorKind, ProxyError};

pin_project! {
    /// A response body that is cut off when the time is up.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        timer: Option<Timer>,
        stats: Option<Arc<ClusterStats>>,
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B, timer: Option<Timer>, stats: Option<Arc<ClusterStats>>) -> Self {
        Self { inner, timer, stats }
    }

    /// The body inside.
    pub fn into_inner(self) -> B {
        self.inner
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
        let this = self.project();
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if !this.timer.as_mut().is_some_and(|timer| timer.poll(cx).is_ready()) {
            return Poll::Pending;
        }
        *this.timer = None;
        if let Some(stats) = this.stats {
            stats.rq_timeout.increment(1);
        }
        Poll::Ready(Some(Err(ProxyError::new(ErrorKind::UpstreamTimeout))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
