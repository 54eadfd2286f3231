use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::chain::SharedChain;
use crate::body::{Body, ResponseBody};
use crate::error::ProxyError;
use crate::respond::RespondLayer;
use crate::router::{Router, Selected};

/// The future of a filter.
pub type NextFuture<R> =
    Pin<Box<dyn Future<Output = Result<Response<ResponseBody<R>>, ProxyError>> + Send>>;

/// What a filter is put around: the filters after it, and the router. For one request.
pub struct Next<R> {
    chain: SharedChain<R>,
    /// The filter that is next.
    at: usize,
    selected: Selected,
    end: Arc<dyn End<R>>,
}

impl<R> Next<R> {
    pub(super) fn new(chain: SharedChain<R>, selected: Selected, end: Arc<dyn End<R>>) -> Self {
        Self { chain, at: 0, selected, end }
    }
}

impl<R> Clone for Next<R> {
    fn clone(&self) -> Self {
        Self {
            chain: Arc::clone(&self.chain),
            at: self.at,
            selected: self.selected,
            end: Arc::clone(&self.end),
        }
    }
}

impl<R> fmt::Debug for Next<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("left", &(self.chain.len() - self.at)).finish_non_exhaustive()
    }
}

impl<R> Service<Request<Body>> for Next<R> {
    type Response = Response<ResponseBody<R>>;
    type Error = ProxyError;
    type Future = NextFuture<R>;

    /// Always ready, as the router is.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(filter) = self.chain.get(self.at) else {
            return self.end.call(self.selected, request);
        };
        let next = Self { at: self.at + 1, ..self.clone() };
        filter.call(next, request)
    }
}

/// The router behind the filters.
pub(super) trait End<R>: Send + Sync {
    fn call(&self, selected: Selected, request: Request<Body>) -> NextFuture<R>;
}

impl<S, R> End<R> for Router<S>
where
    S: Service<Request<Body>, Response = Response<R>, Error = ProxyError>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    R: Send + 'static,
{
    fn call(&self, selected: Selected, request: Request<Body>) -> NextFuture<R> {
        // What the router fails is a response from here on: filters treat it like any other, as
        // Envoy's do.
        let router = Routed { router: self.clone(), selected };
        let future = RespondLayer::inside().layer(router).call(request);
        Box::pin(async move {
            let Ok(response) = future.await;
            Ok(response)
        })
    }
}

/// The router, for a request whose route has been found.
struct Routed<S> {
    router: Router<S>,
    selected: Selected,
}

impl<S, R> Service<Request<Body>> for Routed<S>
where
    S: Service<Request<Body>, Response = Response<R>, Error = ProxyError> + Clone,
{
    type Response = Response<ResponseBody<R>>;
    type Error = ProxyError;
    type Future = crate::router::ResponseFuture<S>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (parts, body) = request.into_parts();
        self.router.route(self.selected, parts, body)
    }
}
