use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use tower_service::Service;

use super::ResponseFuture;
use crate::body::Body;
use crate::error::BoxError;
use crate::stats::DownstreamStats;

/// Lets requests through when they are complete; see the [module](super).
#[derive(Clone, Debug)]
pub struct Buffer<S> {
    inner: S,
    max_bytes: u64,
    stats: Option<Arc<DownstreamStats>>,
}

impl<S> Buffer<S> {
    pub(super) fn new(inner: S, max_bytes: u64, stats: Option<Arc<DownstreamStats>>) -> Self {
        Self { inner, max_bytes, stats }
    }

    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    pub(super) fn count_too_large(&self) {
        if let Some(stats) = &self.stats {
            stats.rq_too_large.increment(1);
        }
    }

    pub(super) fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Buffer<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let request = request.map(Body::new);
        if request.body().is_end_stream() || request.body().is_switch() {
            return ResponseFuture::call(self.inner.call(request));
        }
        // The one that is ready waits for the request; the next one is to be made ready anew.
        let next = self.clone();
        ResponseFuture::read(std::mem::replace(self, next), request)
    }
}
