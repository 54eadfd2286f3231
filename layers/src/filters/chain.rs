use std::fmt;
use std::sync::Arc;

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::next::{Next, NextFuture};
use crate::body::{Body, ResponseBody};
use crate::error::ProxyError;
use crate::oneshot::Oneshot;

/// A layer whose type has been forgotten. It is put around the rest of the chain for each request,
/// so what requests share, as a count or a limit, has to be in the layer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no filter of a proxy",
    label = "needs `Layer`, around services that take `Request<Body>` and fail with `ProxyError`",
    note = "`Body` is `front_proxy_layers::body::Body`; a layer for other bodies, as axum's middleware, goes around the proxy"
)]
pub trait Filter<R>: Send + Sync {
    /// Takes the request, and gives it to `next` or not.
    fn call(&self, next: Next<R>, request: Request<Body>) -> NextFuture<R>;
}

impl<L, R, B> Filter<R> for L
where
    L: Layer<Next<R>> + Send + Sync,
    L::Service: Service<Request<Body>, Response = Response<B>, Error = ProxyError>,
    L::Service: Send + 'static,
    <L::Service as Service<Request<Body>>>::Future: Send + 'static,
    B: Into<ResponseBody<R>>,
{
    fn call(&self, next: Next<R>, request: Request<Body>) -> NextFuture<R> {
        let answered = Oneshot::new(self.layer(next), request);
        Box::pin(async move { Ok(answered.await?.map(Into::into)) })
    }
}

/// Filters in the order in which a request passes them.
pub struct Chain<R>(Vec<Arc<dyn Filter<R>>>);

impl<R> Chain<R> {
    /// Adds a layer inside those that are there.
    #[must_use]
    pub fn filter(self, layer: impl Filter<R> + 'static) -> Self {
        self.shared(Arc::new(layer))
    }

    /// Adds a layer that other chains have too.
    #[must_use]
    pub fn shared(mut self, layer: Arc<dyn Filter<R>>) -> Self {
        self.0.push(layer);
        self
    }
}

impl<R> fmt::Debug for Chain<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("filters", &self.0.len()).finish()
    }
}

/// A finished chain, which requests hold on to.
pub(super) type SharedChain<R> = Arc<[Arc<dyn Filter<R>>]>;

/// A chain of [`Filters`]. The default one is that of requests without a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainId(usize);

/// The chains of a route table.
pub struct Filters<R> {
    /// The first one is the default.
    chains: Vec<SharedChain<R>>,
    pub(super) observed: bool,
}

impl<R> Filters<R> {
    /// None but the default chain, which is empty.
    pub fn new() -> Self {
        Self { chains: vec![Arc::new([])], observed: false }
    }

    /// Begins a chain.
    pub fn chain(&self) -> Chain<R> {
        Chain(Vec::new())
    }

    /// Adds a chain for routes that name it.
    pub fn add(&mut self, chain: Chain<R>) -> ChainId {
        self.chains.push(chain.0.into());
        ChainId(self.chains.len() - 1)
    }

    /// Sets the chain of requests without a route, and of routes that name none.
    pub fn set_default(&mut self, chain: Chain<R>) {
        self.chains[0] = chain.0.into();
    }

    /// Gives each request a [`StreamInfo`](crate::stream_info::StreamInfo) before its filters, for
    /// those that make header values of it.
    pub fn observe(&mut self) {
        self.observed = true;
    }

    /// Whether requests get one.
    pub fn is_observed(&self) -> bool {
        self.observed
    }

    /// Whether no chain has any filter.
    pub(super) fn is_empty(&self) -> bool {
        self.chains.iter().all(|chain| chain.is_empty())
    }

    /// A chain; one of other filters than these is empty.
    pub(super) fn get(&self, id: ChainId) -> Option<&SharedChain<R>> {
        self.chains.get(id.0).filter(|chain| !chain.is_empty())
    }
}

impl<R> Default for Filters<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> fmt::Debug for Filters<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filters").field("chains", &self.chains.len()).finish()
    }
}
