//! Handlers where a cluster would be: an app's own service inside the layers that expect each other's
//! types.
//!
//! Layers between [`respond`](crate::respond) and a cluster fail with [`ProxyError`], and so do the
//! bodies of responses there. A handler does not: [`HandlerLayer`] around it puts it into their terms.
//! So all that happens to a request on its way to an upstream may happen to one for the app's own
//! routes:
//!
//! ```
//! use std::time::Duration;
//!
//! use axum::{Router as App, body::Body, extract::Request, routing::get};
//! use front_proxy_layers::handler::HandlerLayer;
//! use front_proxy_layers::respond::RespondLayer;
//! use front_proxy_layers::router::Router;
//! use front_proxy_layers::sanitize::SanitizeLayer;
//! use front_proxy_layers::timeout::TimeoutLayer;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let app: App = App::new().route("/", get(std::future::pending::<()>));
//! let handler = ServiceBuilder::new()
//!     .layer(TimeoutLayer::new(Duration::from_millis(1)))
//!     .layer(HandlerLayer::new())
//!     .service(app);
//! let service = ServiceBuilder::new()
//!     .layer(RespondLayer::new())
//!     .layer(SanitizeLayer::new())
//!     .service(Router::forward(handler));
//! let request = Request::get("/").header("host", "example.com").body(Body::empty())?;
//! assert_eq!(service.oneshot(request).await?.status(), 504);
//! # Ok(()) }
//! ```
//!
//! Switches of protocols do not get through to it: [`upgrade`](crate::upgrade) belongs to upstreams.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::hints_of_inner;
use crate::error::{BoxError, ErrorKind, ProxyError};

/// Puts a service into the terms of the layers around a cluster; see the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct HandlerLayer(());

impl HandlerLayer {
    /// The layer.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for HandlerLayer {
    type Service = Handler<S>;

    fn layer(&self, inner: S) -> Handler<S> {
        Handler { inner }
    }
}

/// A service in the terms of the layers around a cluster; see the [module](self).
#[derive(Clone, Debug)]
pub struct Handler<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Handler<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = ProxyError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx).map_err(failed)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture { inner: self.inner.call(request) }
    }
}

/// A handler that fails is an upstream that breaks off.
fn failed(error: impl Into<BoxError>) -> ProxyError {
    match error.into().downcast::<ProxyError>() {
        Ok(error) => *error,
        Err(error) => ProxyError::new(ErrorKind::ConnectionTerminated).with_source(error),
    }
}

pin_project! {
    /// The future of [`Handler`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<R>>, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().inner.poll(cx)).map_err(failed)?;
        Poll::Ready(Ok(response.map(|inner| ResponseBody { inner })))
    }
}

pin_project! {
    /// The body of a handler's response.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
    }
}

/// What a layer around a handler answers in its place.
impl<B: From<Bytes>> From<Bytes> for ResponseBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self { inner: bytes.into() }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = ProxyError;

    hints_of_inner!();

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, ProxyError>>> {
        self.project().inner.poll_frame(cx).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn what_fails_says_why() {
        let fails = |error: BoxError| {
            let mut error = Some(error);
            service_fn(move |_: Request<()>| {
                std::future::ready(Err::<Response<String>, _>(error.take().expect("one request")))
            })
        };
        let ask = async |error| {
            let handler = HandlerLayer::new().layer(fails(error));
            handler.oneshot(Request::new(())).await.expect_err("a failure")
        };
        let error = ask("it broke".into()).await;
        assert_eq!(error.kind(), ErrorKind::ConnectionTerminated);
        let source = std::error::Error::source(&error).expect("why");
        assert_eq!(source.to_string(), "it broke");
        // One of this crate's stays what it is.
        let error = ask(ProxyError::new(ErrorKind::Overflow).into()).await;
        assert_eq!(error.kind(), ErrorKind::Overflow);
    }
}
