use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::layer::Options;
use super::plan::Plan;
use super::{ResponseBody, ResponseFuture};
use crate::body::Body;
use crate::error::ProxyError;

/// Tries requests again; see the [module](super).
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    options: Option<Arc<Options>>,
}

impl<S> Retry<S> {
    pub(super) fn new(inner: S, options: Option<Arc<Options>>) -> Self {
        Self { inner, options }
    }
}

impl<S, R> Service<Request<Body>> for Retry<S>
where
    S: Service<Request<Body>, Response = Response<R>, Error = ProxyError> + Clone,
{
    type Response = Response<ResponseBody<R>>;
    type Error = ProxyError;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(options) = &self.options else {
            return ResponseFuture::once(self.inner.call(request));
        };
        let plan = Plan::new(options, &mut request);
        if plan.is_nothing() {
            return ResponseFuture::once(self.inner.call(request));
        }
        // The service that was made ready takes the first try; its clone is made ready for others.
        let again = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, again);
        ResponseFuture::tried(ready, request, plan, Arc::clone(options))
    }
}
