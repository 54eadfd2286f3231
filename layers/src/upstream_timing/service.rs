use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::ResponseFuture;
use crate::body::RequestProgress;
use crate::clock;

/// Adds `x-envoy-upstream-service-time` to responses; see the [module](super).
#[derive(Clone, Copy, Debug)]
pub struct UpstreamTiming<S> {
    inner: S,
    silent: bool,
}

impl<S> UpstreamTiming<S> {
    /// Around `inner`.
    pub const fn new(inner: S) -> Self {
        Self { inner, silent: false }
    }

    pub(super) const fn silent(mut self, silent: bool) -> Self {
        self.silent = silent;
        self
    }
}

impl<S, B, R> Service<Request<B>> for UpstreamTiming<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let progress = request.extensions().get::<Arc<RequestProgress>>().map(Arc::clone);
        ResponseFuture::new(self.inner.call(request), clock::now(), progress, self.silent)
    }
}
