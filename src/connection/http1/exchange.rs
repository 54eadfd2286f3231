//! Telling the gate when an answer has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;
use pin_project_lite::pin_project;

use super::state::GateState;

/// One request and its answer. Dropping it tells the gate that the answer has ended, so it belongs
/// into the body of the answer: hyper drops that when it has taken all of it.
#[derive(Debug)]
pub struct Exchange(Arc<GateState>);

impl Exchange {
    /// Begins with the request hyper hands to the service.
    pub fn begin(state: &Arc<GateState>) -> Self {
        Self(Arc::clone(state))
    }

    /// The connection's state.
    pub fn state(&self) -> &Arc<GateState> {
        &self.0
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// Holds an [`Exchange`] for each request until the body of the answer is dropped.
#[derive(Clone, Debug)]
pub struct TrackedService<S> {
    inner: S,
    state: Arc<GateState>,
}

impl<S> TrackedService<S> {
    /// Wraps the service of one connection.
    pub fn new(inner: S, state: Arc<GateState>) -> Self {
        Self { inner, state }
    }
}

impl<S, B> Service<Request<Incoming>> for TrackedService<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Response = Response<ExchangeBody<B>>;
    type Error = S::Error;
    type Future = TrackedFuture<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let exchange = Exchange::begin(&self.state);
        TrackedFuture { inner: self.inner.call(request), exchange: Some(exchange) }
    }
}

pin_project! {
    /// The answer of a [`TrackedService`].
    #[derive(Debug)]
    pub struct TrackedFuture<F> {
        #[pin]
        inner: F,
        exchange: Option<Exchange>,
    }
}

impl<F, B, E> Future for TrackedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ExchangeBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        let exchange = this.exchange.take();
        Poll::Ready(answer.map(|answer| answer.map(|inner| ExchangeBody { inner, exchange })))
    }
}

pin_project! {
    /// A body that ends its [`Exchange`] when it is dropped.
    #[derive(Debug)]
    pub struct ExchangeBody<B> {
        #[pin]
        inner: B,
        exchange: Option<Exchange>,
    }
}

impl<B> ExchangeBody<B> {
    /// Ties `exchange` to `inner`.
    pub fn new(inner: B, exchange: Exchange) -> Self {
        Self { inner, exchange: Some(exchange) }
    }
}

impl<B: Body> Body for ExchangeBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
