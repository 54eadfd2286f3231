use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, Version};
use tokio::time::Instant;
use tower_service::Service;

use crate::body::RequestProgress;
use crate::health_check::HealthChecked;

use super::{DownstreamStats, ListenerCodes, ResponseBody, ResponseFuture};

/// Counts requests and responses; see the [module](super).
#[derive(Clone, Debug)]
pub struct Stats<S> {
    inner: S,
    stats: Arc<DownstreamStats>,
    listener: Option<Arc<ListenerCodes>>,
}

impl<S> Stats<S> {
    pub(super) fn new(
        inner: S,
        stats: Arc<DownstreamStats>,
        listener: Option<Arc<ListenerCodes>>,
    ) -> Self {
        Self { inner, stats, listener }
    }
}

/// A request that is being served. Dropped when its response has ended, or when nobody wants it
/// any more.
#[derive(Debug)]
pub struct ActiveStream {
    stats: Arc<DownstreamStats>,
    listener: Option<Arc<ListenerCodes>>,
    began: Instant,
    /// The request, where it was not complete when the response began.
    request: Option<Arc<RequestProgress>>,
    completed: bool,
}

impl ActiveStream {
    pub(super) fn respond<R>(&mut self, response: &Response<R>) {
        let status = response.status();
        if response.extensions().get::<HealthChecked>().is_none() {
            self.stats.charge(status);
            if let Some(listener) = &self.listener {
                listener.charge(status);
            }
        }
        self.request = response.extensions().get::<Arc<RequestProgress>>().map(Arc::clone);
    }

    /// The rest of the response will not come.
    pub(super) fn cut(&self) {
        self.stats.rq_tx_reset.increment(1);
    }

    /// The response has ended as it should.
    pub(super) fn complete(&mut self) {
        self.completed = true;
    }
}

impl Drop for ActiveStream {
    fn drop(&mut self) {
        self.stats.rq_active.decrement(1.0);
        if self.request.as_ref().is_some_and(|request| request.completed_at().is_none()) {
            self.stats.rq_response_before_rq_complete.increment(1);
            self.stats.rq_rx_reset.increment(1);
        } else if !self.completed {
            self.stats.rq_rx_reset.increment(1);
        }
        if self.completed {
            self.stats.rq_time.record(self.began.elapsed().as_millis() as f64);
        }
    }
}

impl<S, B, R> Service<Request<B>> for Stats<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: http_body::Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let stats = &self.stats;
        stats.rq_total.increment(1);
        if request.version() == Version::HTTP_2 {
            stats.rq_http2_total.increment(1);
        } else {
            stats.rq_http1_total.increment(1);
        }
        stats.rq_active.increment(1.0);
        let stream = ActiveStream {
            stats: Arc::clone(stats),
            listener: self.listener.clone(),
            began: Instant::now(),
            request: None,
            completed: false,
        };
        ResponseFuture::new(self.inner.call(request), stream)
    }
}
