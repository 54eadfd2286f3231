//! The outer edge of the request path: whatever failed inside becomes a response.
//!
//! Inside, layers return typed errors; outside, a service that never fails, as axum wants it. This
//! layer turns the one into the other ([`crate::error::respond`]), follows the request body for
//! the layers inside, and closes the connection where the proxy answered before it had read
//! the whole request: what is left of the body must not be taken for the next request.
//!
//! ```
//! use bytes::Bytes;
//! use front_proxy_layers::body::{Body, ResponseBody};
//! use front_proxy_layers::error::{ErrorKind, ProxyError};
//! use front_proxy_layers::respond::RespondLayer;
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let fails = service_fn(|_: Request<Body>| async {
//!     Err::<Response<ResponseBody<Body>>, _>(ProxyError::new(ErrorKind::NoHealthyUpstream))
//! });
//! let service = ServiceBuilder::new().layer(RespondLayer::new()).service(fails);
//! let response = service.oneshot(Request::new(String::new())).await.unwrap();
//! assert_eq!(response.status(), 503);
//! assert_eq!(response.extensions().get(), Some(&ErrorKind::NoHealthyUpstream));
//! # }
//! ```

mod future;

pub use future::ResponseFuture;

use future::Answer;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Method, Request, Response, Version};
use tower_layer::Layer;
use tower_service::Service;

use crate::body::{Body, RequestProgress, ResponseBody};
use crate::error::respond::is_grpc;
use crate::error::{BoxError, ErrorKind, ProxyError};
use crate::stats::DownstreamStats;
use crate::stream_info::StreamInfo;

/// Turns errors into responses; see the [module](self).
#[derive(Clone, Debug, Default)]
pub struct RespondLayer {
    inside: bool,
    keep_connection: bool,
    stats: Option<Arc<DownstreamStats>>,
}

impl RespondLayer {
    /// The layer.
    pub const fn new() -> Self {
        Self { inside: false, keep_connection: false, stats: None }
    }

    /// Inside another one, which follows the request.
    pub(crate) const fn inside() -> Self {
        Self { inside: true, keep_connection: false, stats: None }
    }

    /// Whether an HTTP/1 connection outlives a request that has come whole and is refused for its
    /// path or for want of a `host` (Envoy's `stream_error_on_invalid_http_message`). Default no.
    #[must_use]
    pub const fn keep_connection(mut self, keep: bool) -> Self {
        self.keep_connection = keep;
        self
    }

    /// Counts in these how often a request's body had to wait for its upstream
    /// ([`crate::flow_control`]).
    #[must_use]
    pub fn stats(mut self, stats: Arc<DownstreamStats>) -> Self {
        self.stats = Some(stats);
        self
    }
}

impl<S> Layer<S> for RespondLayer {
    type Service = Respond<S>;

    fn layer(&self, inner: S) -> Respond<S> {
        let Self { inside, keep_connection, stats } = self.clone();
        Respond { inner, inside, keep_connection, stats, unready: None }
    }
}

/// Turns errors into responses; see the [module](self).
#[derive(Debug)]
pub struct Respond<S> {
    inner: S,
    inside: bool,
    keep_connection: bool,
    stats: Option<Arc<DownstreamStats>>,
    /// Why the inner service did not become ready, until the request comes that is told so.
    unready: Option<Box<ProxyError>>,
}

impl<S: Clone> Clone for Respond<S> {
    /// Whether the clone can become ready is for its own inner service to say.
    fn clone(&self) -> Self {
        let Self { inner, inside, keep_connection, stats, unready: _ } = self;
        let (inside, keep_connection) = (*inside, *keep_connection);
        let stats = stats.clone();
        Self { inner: inner.clone(), inside, keep_connection, stats, unready: None }
    }
}

impl<S, B, R> Service<Request<B>> for Respond<S>
where
    S: Service<Request<Body>, Response = Response<ResponseBody<R>>, Error = ProxyError>,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The failure is the answer to the request that comes: such a service must not be called.
        if self.unready.is_none() {
            self.unready = ready!(self.inner.poll_ready(cx)).err().map(Box::new);
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut request = request.map(Body::new);
        let info = StreamInfo::of(request.extensions()).map(Arc::clone);
        let progress = if self.inside {
            request.extensions().get::<Arc<RequestProgress>>().map(Arc::clone)
        } else {
            request.body_mut().track()
        };
        if let Some(progress) = progress.as_ref().filter(|_| !self.inside) {
            if let Some(info) = &info {
                info.set_request_body(progress);
            }
            if let Some(stats) = &self.stats {
                progress.set_client(stats);
            }
            request.extensions_mut().insert(Arc::clone(progress));
        }
        let kind = RequestKind {
            http1: request.version() < Version::HTTP_2,
            // One without a path is none.
            grpc: is_grpc(request.headers()) && request.method() != Method::CONNECT,
            head: request.method() == Method::HEAD,
            connect: request.method() == Method::CONNECT,
            keep: self.keep_connection,
            inside: self.inside,
        };
        let answer = match self.unready.take() {
            None => Answer::Called { future: self.inner.call(request) },
            unready => Answer::Unready { error: unready },
        };
        ResponseFuture::new(answer, progress, kind, info)
    }
}

/// What of a request decides the form of an answer that the proxy makes itself.
#[derive(Clone, Copy, Debug)]
struct RequestKind {
    http1: bool,
    grpc: bool,
    head: bool,
    connect: bool,
    keep: bool,
    /// Somebody further out decides about the connection.
    inside: bool,
}

impl RequestKind {
    /// Whether an answer to this failure is the connection's last. What follows a CONNECT is no
    /// request, whatever became of it.
    fn ends(self, kind: ErrorKind) -> bool {
        let kept = self.keep && kind == ErrorKind::BadRequest;
        let ends = self.connect || (kind.ends_connection() && !kept);
        self.http1 && !self.inside && ends
    }
}
