use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request, Response, Version};
use tokio::time::Instant;
use tower_service::Service;

use crate::body::RequestProgress;
use crate::clock;
use crate::health_check_filter::HealthChecked;

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
    /// The response to a HEAD request: its end is that of its head, whatever its body says.
    head: bool,
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
        self.completed = self.head;
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
            let took = clock::now().saturating_duration_since(self.began);
            self.stats.rq_time.record_time(took);
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
            began: clock::now(),
            head: request.method() == Method::HEAD,
            request: None,
            completed: false,
        };
        ResponseFuture::new(self.inner.call(request), stream)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use http_body_util::{BodyExt as _, Full};
    use tower::{ServiceExt as _, service_fn};
    use tower_layer::Layer as _;

    use super::*;
    use crate::stats::{
        Counter, Gauge, Histogram, HistogramValue, Scope, StatName, StatsLayer, StatsSink, Unit,
    };

    /// How often each counter and histogram was written to.
    #[derive(Debug, Default)]
    struct Written(Mutex<BTreeMap<String, Arc<Times>>>);

    #[derive(Debug, Default)]
    struct Times(Arc<AtomicU64>);

    impl HistogramValue for Times {
        fn record(&self, _: f64) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Written {
        fn times(&self, name: &StatName) -> Arc<Times> {
            let leaf = name.full().rsplit("downstream_").next().unwrap_or_default();
            Arc::clone(self.0.lock().unwrap().entry(leaf.to_owned()).or_default())
        }
    }

    impl StatsSink for Written {
        fn counter(&self, name: &StatName) -> Counter {
            Counter::new(Arc::clone(&self.times(name).0) as _)
        }
        fn gauge(&self, _: &StatName) -> Gauge {
            Gauge::noop()
        }
        fn histogram(&self, name: &StatName, _: Unit) -> Histogram {
            Histogram::new(self.times(name))
        }
    }

    /// What is counted of a request whose response is dropped, or read first.
    async fn counted(method: Method, read: bool) -> Vec<String> {
        let written = Arc::new(Written::default());
        let scope = Scope::new(Arc::clone(&written) as _);
        let app = service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(Full::new(bytes::Bytes::from("page"))))
        });
        let service = StatsLayer::new(Arc::new(DownstreamStats::new(&scope, "h"))).layer(app);
        let request = Request::builder().method(method).body(()).unwrap();
        let response = service.oneshot(request).await.unwrap();
        if read {
            response.into_body().collect().await.unwrap();
        } else {
            drop(response);
        }
        let written = written.0.lock().unwrap();
        let moved = written.iter().filter(|(_, times)| times.0.load(Ordering::Relaxed) > 0);
        moved.map(|(name, _)| name.clone()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_ends_with_its_body_and_that_to_head_with_its_head() {
        let whole = ["rq_2xx", "rq_completed", "rq_http1_total", "rq_time", "rq_total"];
        assert_eq!(counted(Method::GET, true).await, whole);
        assert_eq!(counted(Method::HEAD, false).await, whole);
        let left = ["rq_2xx", "rq_completed", "rq_http1_total", "rq_rx_reset", "rq_total"];
        assert_eq!(counted(Method::GET, false).await, left);
    }
}
