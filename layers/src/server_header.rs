//! What the proxy says of itself in responses: `server`, as Envoy's `server_header_transformation`
//! has it, and `via`.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use front_proxy_layers::server_header::ServerHeaderLayer;
//! use http::{HeaderValue, Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let app = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
//! let layer = ServerHeaderLayer::new(HeaderValue::from_static("envoy"));
//! let response = ServiceBuilder::new().layer(layer).service(app).oneshot(Request::new(())).await.unwrap();
//! assert_eq!(response.headers()["server"], "envoy");
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{Entry, SERVER, VIA};
use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::headers;

/// What becomes of an upstream's `server` header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transformation {
    /// It is replaced, in its place.
    #[default]
    Overwrite,
    /// It stays; ours is added where there is none.
    AppendIfAbsent,
    /// It stays, and none is added.
    PassThrough,
}

/// Sets `server` on responses; see the [module](self).
#[derive(Clone, Debug)]
pub struct ServerHeaderLayer {
    name: HeaderValue,
    transformation: Transformation,
    via: Option<HeaderValue>,
}

impl ServerHeaderLayer {
    /// Says that the server is `name`.
    pub fn new(name: HeaderValue) -> Self {
        Self { name, transformation: Transformation::default(), via: None }
    }

    /// What becomes of an upstream's header. Default [`Transformation::Overwrite`].
    #[must_use]
    pub fn transformation(mut self, transformation: Transformation) -> Self {
        self.transformation = transformation;
        self
    }

    /// Appended to `via`. Default none.
    #[must_use]
    pub fn via(mut self, via: Option<HeaderValue>) -> Self {
        self.via = via;
        self
    }
}

impl<S> Layer<S> for ServerHeaderLayer {
    type Service = ServerHeader<S>;

    fn layer(&self, inner: S) -> ServerHeader<S> {
        ServerHeader {
            inner,
            name: self.name.clone(),
            transformation: self.transformation,
            via: self.via.clone(),
        }
    }
}

/// Sets `server` on responses; see the [module](self).
#[derive(Clone, Debug)]
pub struct ServerHeader<S> {
    inner: S,
    name: HeaderValue,
    transformation: Transformation,
    via: Option<HeaderValue>,
}

impl<S, B, R> Service<Request<B>> for ServerHeader<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture {
            inner: self.inner.call(request),
            name: Some(self.name.clone()),
            transformation: self.transformation,
            via: self.via.clone(),
        }
    }
}

pin_project! {
    /// The future of [`ServerHeader`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        name: Option<HeaderValue>,
        transformation: Transformation,
        via: Option<HeaderValue>,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        if let Some(name) = this.name.take() {
            match this.transformation {
                Transformation::Overwrite => {
                    response.headers_mut().insert(SERVER, name);
                }
                Transformation::AppendIfAbsent => {
                    if let Entry::Vacant(entry) = response.headers_mut().entry(SERVER) {
                        entry.insert(name);
                    }
                }
                Transformation::PassThrough => {}
            }
        }
        if let Some(via) = this.via.take() {
            headers::append_to_list(response.headers_mut(), &VIA, &via, ", ");
        }
        Poll::Ready(Ok(response))
    }
}
