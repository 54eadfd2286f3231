use std::convert::Infallible;
use std::fmt;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;

use super::chain::Managed;
use super::{ResponseBody, ResponseFuture};
use crate::clock::Turn;
use crate::error::BoxError;

/// What serves the requests of a connection, and never fails; see the [module](super).
#[derive(Clone)]
pub struct ConnectionService {
    inner: Managed,
}

impl ConnectionService {
    pub(super) fn new(inner: Managed) -> Self {
        Self { inner }
    }
}

impl<B> Service<Request<B>> for ConnectionService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    /// Always ready: what a request waits for, it waits for in its own future.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <Managed as Service<Request<B>>>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let _turn = Turn::begin();
        ResponseFuture::new(self.inner.call(request))
    }
}

impl fmt::Debug for ConnectionService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionService").finish_non_exhaustive()
    }
}
