use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::service::Charge;

pin_project! {
    /// A response body that records the request's time at its end.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        charge: Option<Charge>,
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B, charge: Charge) -> Self
    where
        B: Body,
    {
        // A body that is empty may never be polled: its end is now.
        if inner.is_end_stream() {
            charge.record();
            return Self { inner, charge: None };
        }
        Self { inner, charge: Some(charge) }
    }

    /// The body inside.
    pub fn into_inner(self) -> B {
        self.inner
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let ended = match &frame {
            None => true,
            Some(Ok(frame)) => frame.is_trailers() || this.inner.is_end_stream(),
            Some(Err(_)) => {
                // It never completed: no time to record.
                this.charge.take();
                false
            }
        };
        if ended && let Some(charge) = this.charge.take() {
            charge.record();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Charge {
    fn record(&self) {
        let began = match &self.progress {
            Some(progress) => progress.completed_at(),
            None => Some(self.called),
        };
        let took = began.map(|began| Instant::now().saturating_duration_since(began));
        let ms = took.unwrap_or_default().as_millis();
        self.stats.record_time(ms as f64, self.internal);
    }
}
