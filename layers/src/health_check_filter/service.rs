use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::ResponseFuture;
use super::layer::Rules;
use crate::route::RequestView;

/// Answers health checks; see the [module](super).
#[derive(Clone, Debug)]
pub struct HealthCheck<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S> HealthCheck<S> {
    pub(super) fn new(inner: S, rules: Arc<Rules>) -> Self {
        Self { inner, rules }
    }
}

/// In the extensions of a request and of its response: it is a health check, which is not to be
/// counted as a request.
#[derive(Clone, Copy, Debug)]
pub struct HealthChecked;

impl<S, B, R> Service<Request<B>> for HealthCheck<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: Body,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let view = RequestView::new(request.method(), request.uri(), request.headers(), 0);
        let is_check = self.rules.headers.iter().all(|header| header.matches(&view));
        let rules = Arc::clone(&self.rules);
        if is_check {
            rules.stats.checked.increment(1);
            if let Some(verdict) = rules.verdict() {
                return ResponseFuture::answer(request, verdict, rules);
            }
            request.extensions_mut().insert(HealthChecked);
        }
        ResponseFuture::call(self.inner.call(request), is_check, rules)
    }
}
