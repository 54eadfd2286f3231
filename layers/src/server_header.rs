//! What the proxy says of itself in responses: `server`, as Envoy's `server_header_transformation`
//! has it, and `via`; and `date`, where there is none (RFC 9110 section 6.6.1), which Envoy writes
//! before them.
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
//! assert!(response.headers().contains_key("date"));
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{DATE, Entry, SERVER, VIA};
use http::{HeaderMap, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{date, headers};

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
pub struct ServerHeaderLayer(Arc<Words>);

#[derive(Clone, Debug)]
struct Words {
    name: HeaderValue,
    transformation: Transformation,
    via: Option<HeaderValue>,
}

impl ServerHeaderLayer {
    /// Says that the server is `name`.
    pub fn new(name: HeaderValue) -> Self {
        let transformation = Transformation::default();
        Self(Arc::new(Words { name, transformation, via: None }))
    }

    /// What becomes of an upstream's header. Default [`Transformation::Overwrite`].
    #[must_use]
    pub fn transformation(mut self, transformation: Transformation) -> Self {
        Arc::make_mut(&mut self.0).transformation = transformation;
        self
    }

    /// Appended to `via`. Default none.
    #[must_use]
    pub fn via(mut self, via: Option<HeaderValue>) -> Self {
        Arc::make_mut(&mut self.0).via = via;
        self
    }

    /// Does to these headers what the layer does to those of a response, for codecs that answer
    /// what never becomes a request.
    ///
    /// ```
    /// use front_proxy_layers::server_header::ServerHeaderLayer;
    /// use http::{HeaderMap, HeaderValue};
    ///
    /// let mut headers = HeaderMap::new();
    /// ServerHeaderLayer::new(HeaderValue::from_static("envoy")).apply(&mut headers);
    /// assert!(headers.keys().eq(["date", "server"]));
    /// ```
    pub fn apply(&self, headers: &mut HeaderMap) {
        let Words { name, transformation, via } = &*self.0;
        if let Entry::Vacant(entry) = headers.entry(DATE)
            && let Some(date) = date::now()
        {
            entry.insert(date);
        }
        match transformation {
            Transformation::Overwrite => {
                headers.insert(SERVER, name.clone());
            }
            Transformation::AppendIfAbsent => {
                if let Entry::Vacant(entry) = headers.entry(SERVER) {
                    entry.insert(name.clone());
                }
            }
            Transformation::PassThrough => {}
        }
        if let Some(via) = via {
            headers::append_to_list(headers, &VIA, via, ", ");
        }
    }
}

impl<S> Layer<S> for ServerHeaderLayer {
    type Service = ServerHeader<S>;

    fn layer(&self, inner: S) -> ServerHeader<S> {
        ServerHeader { inner, layer: self.clone() }
    }
}

/// Sets `server` on responses; see the [module](self).
#[derive(Clone, Debug)]
pub struct ServerHeader<S> {
    inner: S,
    layer: ServerHeaderLayer,
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
        ResponseFuture { inner: self.inner.call(request), layer: self.layer.clone() }
    }
}

pin_project! {
    /// The future of [`ServerHeader`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        layer: ServerHeaderLayer,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut polled = this.inner.poll(cx);
        if let Poll::Ready(Ok(response)) = &mut polled {
            this.layer.apply(response.headers_mut());
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(layer: &ServerHeaderLayer, lines: &[(&'static str, &'static str)]) -> Vec<String> {
        let value = |text| HeaderValue::from_static(text);
        let mut headers: HeaderMap =
            lines.iter().map(|(name, text)| (name.parse().unwrap(), value(text))).collect();
        layer.apply(&mut headers);
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        headers.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect()
    }

    #[test]
    fn what_is_missing_comes_in_envoys_order() {
        let layer = ServerHeaderLayer::new(HeaderValue::from_static("me"));
        let lines = said(&layer.via(Some(HeaderValue::from_static("v"))), &[("x-a", "1")]);
        let [first, date, rest @ ..] = &*lines else { panic!("{lines:?}") };
        assert_eq!(first, "x-a: 1");
        assert!(date.starts_with("date: ") && date.ends_with(" GMT"), "{date}");
        assert_eq!(rest, ["server: me", "via: v"]);
    }

    #[test]
    fn an_upstreams_own_words_stay_in_their_place() {
        let of_upstream = [("server", "app"), ("date", "then"), ("x-a", "1")];
        for (transformation, server) in [
            (Transformation::Overwrite, "me"),
            (Transformation::AppendIfAbsent, "app"),
            (Transformation::PassThrough, "app"),
        ] {
            let layer = ServerHeaderLayer::new(HeaderValue::from_static("me"));
            let lines = said(&layer.transformation(transformation), &of_upstream);
            assert_eq!(lines, [&*format!("server: {server}"), "date: then", "x-a: 1"]);
        }
    }
}
