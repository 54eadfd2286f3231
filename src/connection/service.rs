//! The request path of a connection as hyper wants to call it.

use std::cell::RefCell;
use std::convert::Infallible;

use front_proxy_layers::http_connection_manager::{
    ConnectionService, ResponseBody, ResponseFuture,
};
use http::{Request, Response};
use hyper::body::Incoming;
use tower_service::Service;

/// A tower service behind hyper's `&self`.
///
/// hyper calls the service of a connection from that connection's task only, so a cell is enough
/// and nothing has to be cloned for a request. The path is always ready: what a request waits for,
/// it waits for in its own future.
pub(super) struct PathService(RefCell<ConnectionService>);

impl PathService {
    pub(super) fn new(path: ConnectionService) -> Self {
        Self(RefCell::new(path))
    }
}

impl hyper::service::Service<Request<Incoming>> for PathService {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.0.borrow_mut().call(request)
    }
}
