use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response};
use tower_service::Service;

use super::clock::Clock;
use super::layer::Options;
use super::{ResponseBody, ResponseFuture};
use crate::body::RequestProgress;
use crate::error::ProxyError;
use crate::headers;

const EXPECTED: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
const ASKED: HeaderName = HeaderName::from_static("x-envoy-upstream-rq-timeout-ms");
const STREAM_DURATION: HeaderName = HeaderName::from_static("x-envoy-upstream-stream-duration-ms");

/// Bounds the time of requests and responses; see the [module](super).
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    options: Arc<Options>,
}

impl<S> Timeout<S> {
    pub(super) fn new(inner: S, options: Arc<Options>) -> Self {
        Self { inner, options }
    }
}

impl<S, B, R> Service<Request<B>> for Timeout<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = ProxyError>,
    R: http_body::Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = ProxyError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut route = self.options.route;
        let mut announced = self.options.announced.clone();
        // Only trusted clients still have this header here.
        let asked = headers::take(request.headers_mut(), &ASKED);
        // Envoy's router takes this one from everybody. It would override the route's own
        // `max_stream_duration`, which is refused here.
        headers::take(request.headers_mut(), &STREAM_DURATION);
        if let Some(ms) = asked.and_then(|ms| ms.to_str().ok()?.parse::<u64>().ok()) {
            route = (ms > 0).then(|| Duration::from_millis(ms));
            announced = route.filter(|_| !self.options.silent).map(|_| HeaderValue::from(ms));
        }
        if let Some(announced) = announced {
            request.headers_mut().insert(EXPECTED, announced);
        }
        let progress = request.extensions().get::<Arc<RequestProgress>>().map(Arc::clone);
        let clock = Clock::start(&self.options, route, progress);
        ResponseFuture::new(self.inner.call(request), clock)
    }
}
