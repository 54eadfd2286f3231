use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::cluster::{ClusterStats, Tries};
use crate::error::{ErrorKind, ProxyError};

pin_project! {
    /// A response body, which ends in an error where the policy bounds its pauses.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        idle: Option<Pin<Box<Idle>>>,
    }
}

pin_project! {
    /// `per_try_idle_timeout`
    pub(super) struct Idle {
        #[pin]
        sleep: Sleep,
        duration: Duration,
        latest: Instant,
        stats: Arc<ClusterStats>,
        tries: Arc<Tries>,
    }
}

impl Idle {
    pub(super) fn new(duration: Duration, stats: Arc<ClusterStats>, tries: Arc<Tries>) -> Self {
        let latest = Instant::now();
        Self { sleep: sleep_until(latest + duration), duration, latest, stats, tries }
    }

    /// Something moved.
    pub(super) fn touch(self: Pin<&mut Self>) {
        *self.project().latest = Instant::now();
    }

    /// Something had moved by then.
    pub(super) fn touch_at(self: Pin<&mut Self>, at: Instant) {
        let latest = self.project().latest;
        *latest = at.max(*latest);
    }

    /// Ready, and counted, when nothing moved for too long.
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            if this.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // The timer is set anew when it fires, not each time when something moves.
            let due = *this.latest + *this.duration;
            if due <= Instant::now() {
                this.stats.rq_per_try_idle_timeout.increment(1);
                this.tries.timed_out();
                return Poll::Ready(());
            }
            this.sleep.as_mut().reset(due);
        }
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idle").field("duration", &self.duration).finish_non_exhaustive()
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B) -> Self {
        Self { inner, idle: None }
    }

    pub(super) fn bounded(inner: B, idle: Option<Pin<Box<Idle>>>) -> Self {
        Self { inner, idle }
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
        let polled = this.inner.poll_frame(cx);
        let Some(idle) = this.idle else {
            return polled;
        };
        if polled.is_ready() {
            idle.as_mut().touch();
            return polled;
        }
        if idle.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        *this.idle = None;
        Poll::Ready(Some(Err(ProxyError::new(ErrorKind::PerTryTimeout))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
