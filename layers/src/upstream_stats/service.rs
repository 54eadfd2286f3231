use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::time::Instant;
use tower_service::Service;

use super::{ResponseBody, ResponseFuture};
use crate::body::RequestProgress;
use crate::clock;
use crate::cluster::ClusterStats;
use crate::error::ProxyError;
use crate::health_check_filter::HealthChecked;
use crate::route::view;

/// Counts what came of each request to a cluster; see the [module](super).
#[derive(Clone, Debug)]
pub struct UpstreamStats<S> {
    inner: S,
    stats: Arc<ClusterStats>,
}

impl<S> UpstreamStats<S> {
    /// Around `inner`, counting into `stats`.
    pub fn new(inner: S, stats: Arc<ClusterStats>) -> Self {
        Self { inner, stats }
    }
}

/// What is known of a request until its response has ended.
#[derive(Debug)]
pub struct Charge {
    pub(super) stats: Arc<ClusterStats>,
    pub(super) called: Instant,
    pub(super) progress: Option<Arc<RequestProgress>>,
    pub(super) internal: bool,
    /// A health check that is passed on: nothing of it counts.
    pub(super) silent: bool,
}

impl<S, B, R> Service<Request<B>> for UpstreamStats<S>
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let charge = Charge {
            stats: Arc::clone(&self.stats),
            called: clock::now(),
            progress: request.extensions().get::<Arc<RequestProgress>>().map(Arc::clone),
            internal: view::is_internal(request.headers()),
            silent: request.extensions().get::<HealthChecked>().is_some(),
        };
        ResponseFuture::new(self.inner.call(request), charge)
    }
}
