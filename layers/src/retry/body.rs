use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::body::hints_of_inner;
use crate::cluster::{ClusterStats, Tries};
use crate::error::{ErrorKind, ProxyError};
use crate::timer::Timer;

pin_project! {
    /// A response body, which ends in an error where the policy bounds its pauses.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        idle: Option<Box<Idle>>,
    }
}

/// `per_try_idle_timeout`
pub(super) struct Idle {
    timer: Timer,
    duration: Duration,
    latest: Instant,
    stats: Arc<ClusterStats>,
    tries: Arc<Tries>,
}

impl Idle {
    pub(super) fn new(duration: Duration, stats: Arc<ClusterStats>, tries: Arc<Tries>) -> Self {
        Self { timer: Timer::new(), duration, latest: Instant::now(), stats, tries }
    }

    /// Something moved.
    pub(super) fn touch(&mut self) {
        self.latest = Instant::now();
    }

    /// Something had moved by then.
    pub(super) fn touch_at(&mut self, at: Instant) {
        self.latest = at.max(self.latest);
    }

    /// Ready, and counted, when nothing moved for too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.timer.poll(cx, self.latest + self.duration));
        self.stats.rq_per_try_idle_timeout.increment(1);
        self.tries.timed_out();
        Poll::Ready(())
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

    pub(super) fn bounded(inner: B, idle: Option<Box<Idle>>) -> Self {
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
            idle.touch();
            return polled;
        }
        if idle.poll(cx).is_pending() {
            return Poll::Pending;
        }
        *this.idle = None;
        Poll::Ready(Some(Err(ProxyError::new(ErrorKind::PerTryTimeout))))
    }

    hints_of_inner!();
}
