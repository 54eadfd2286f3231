use std::convert::Infallible;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;

use super::ProxyBuilder;
use crate::cluster::Cluster;
use crate::error::BoxError;
use crate::http_connection_manager::{ConnectionService, ResponseBody, ResponseFuture};
use crate::mount::Mount;

/// A proxy as a service that never fails; see the [module](super).
#[derive(Clone, Debug)]
pub struct Proxy {
    inner: Mount<ConnectionService>,
}

impl Proxy {
    /// Sends all requests to this cluster, with defaults for everything.
    pub fn new(cluster: Cluster) -> Self {
        Self::builder().route("/", cluster).build()
    }

    /// A proxy without routes.
    pub fn builder() -> ProxyBuilder {
        ProxyBuilder::new()
    }

    pub(super) fn assembled(inner: Mount<ConnectionService>) -> Self {
        Self { inner }
    }
}

impl<B> Service<Request<B>> for Proxy
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <Mount<ConnectionService> as Service<Request<B>>>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_can_hold_it() {
        fn holds<S>(_: &S)
        where
            S: Service<Request<crate::body::Body>, Error = Infallible>
                + Clone
                + Send
                + Sync
                + 'static,
            S::Future: Send + 'static,
            S::Response: Send,
        {
        }
        holds(&Proxy::builder().build());
    }
}
