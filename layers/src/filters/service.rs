use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::next::{End, Next};
use super::{Filters, ResponseFuture};
use crate::body::{Body, ResponseBody};
use crate::error::ProxyError;
use crate::router::{RouteEdits, Router};
use crate::stream_info::Observer;

/// A [`Router`] with filters before it; see the [module](super).
pub struct Filtered<S, R> {
    router: Router<S>,
    filters: Option<Behind<R>>,
}

/// Filters, and what is behind them.
struct Behind<R> {
    filters: Arc<Filters<R>>,
    end: Arc<dyn End<R>>,
}

impl<R> Clone for Behind<R> {
    fn clone(&self) -> Self {
        Self { filters: Arc::clone(&self.filters), end: Arc::clone(&self.end) }
    }
}

impl<S, R> Filtered<S, R>
where
    S: Service<Request<Body>, Response = Response<R>, Error = ProxyError>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    R: Send + 'static,
{
    /// These filters before this router.
    pub fn new(router: Router<S>, filters: Filters<R>) -> Self {
        let filters = (!filters.is_empty())
            .then(|| Behind { filters: Arc::new(filters), end: Arc::new(router.clone()) });
        Self { router, filters }
    }

    /// For one connection: see [`Router::observer`].
    #[must_use]
    pub fn observer(self, observer: Option<Arc<Observer>>) -> Self {
        if observer.is_none() {
            return self;
        }
        self.with_router(|router| router.observer(observer))
    }

    /// See [`Router::envoy_headers`].
    #[must_use]
    pub fn envoy_headers(self, envoy_headers: bool) -> Self {
        self.with_router(|router| router.envoy_headers(envoy_headers))
    }

    fn with_router(mut self, change: impl FnOnce(Router<S>) -> Router<S>) -> Self {
        self.router = change(self.router);
        if let Some(behind) = &mut self.filters {
            behind.end = Arc::new(self.router.clone());
        }
        self
    }
}

impl<S, R> Clone for Filtered<S, R> {
    fn clone(&self) -> Self {
        Self { router: self.router.clone(), filters: self.filters.clone() }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for Filtered<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filters = self.filters.as_ref().map(|behind| &behind.filters);
        f.debug_struct("Filtered").field("router", &self.router).field("filters", &filters).finish()
    }
}

impl<S, R> Service<Request<Body>> for Filtered<S, R>
where
    S: Service<Request<Body>, Response = Response<R>, Error = ProxyError> + Clone,
{
    type Response = Response<ResponseBody<R>>;
    type Error = ProxyError;
    type Future = ResponseFuture<S, R>;

    /// Always ready: which service must be ready is not known before the request is.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(behind) = &self.filters else {
            return ResponseFuture::routed(self.router.call(request));
        };
        let (mut parts, body) = request.into_parts();
        let selected = match self.router.select(&mut parts) {
            Ok(selected) => selected,
            Err(error) => {
                return ResponseFuture::routed(crate::router::ResponseFuture::failed(error));
            }
        };
        let chain = self.router.enter_filters(selected, &mut parts, behind.filters.observed);
        let Some(chain) = behind.filters.get(chain) else {
            return ResponseFuture::routed(self.router.route(selected, parts, body));
        };
        let mut next = Next::new(Arc::clone(chain), selected, Arc::clone(&behind.end));
        let edits = parts.extensions.get::<RouteEdits>().cloned();
        ResponseFuture::filtered(next.call(Request::from_parts(parts, body)), edits)
    }
}
