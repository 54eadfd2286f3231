//! A layer of your own on the request path: it refuses requests without a token before they reach a
//! cluster, and the proxy turns the refusal into a response and counts it like any other.
//!
//! ```text
//! cargo run --example own_layer
//! curl -i localhost:3000/                          # 401
//! curl -i -H 'x-token: secret' localhost:3000/    # 200
//! ```
//!
//! Next: give the layer state of its own, such as a list of tokens in an `Arc`; or put it around a
//! single route of a table, as in `compose_layers`.

use std::error::Error;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use axum::Router;
use front_proxy_layers::body::{Body, ResponseBody};
use front_proxy_layers::cluster::{Cluster, UpstreamBody};
use front_proxy_layers::error::ProxyError;
use front_proxy_layers::respond::RespondLayer;
use front_proxy_layers::sanitize::SanitizeLayer;
use http::{HeaderValue, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceBuilder};

/// Lets requests with this `x-token` through.
#[derive(Clone, Debug)]
struct TokenLayer(HeaderValue);

impl<S> Layer<S> for TokenLayer {
    type Service = Token<S>;

    fn layer(&self, inner: S) -> Token<S> {
        Token { inner, expected: self.0.clone() }
    }
}

#[derive(Clone, Debug)]
struct Token<S> {
    inner: S,
    expected: HeaderValue,
}

/// What a proxy's inner services answer: a body that an upstream sends, or one made on the way.
type Reply = Response<ResponseBody<UpstreamBody>>;

impl<S> Service<Request<Body>> for Token<S>
where
    S: Service<Request<Body>, Response = Response<UpstreamBody>, Error = ProxyError>,
{
    type Response = Reply;
    type Error = ProxyError;
    type Future = TokenFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.headers().get("x-token") == Some(&self.expected) {
            return TokenFuture::Forwarded { future: self.inner.call(request) };
        }
        let mut refusal = Response::new(ResponseBody::local("who are you?\n".into()));
        *refusal.status_mut() = StatusCode::UNAUTHORIZED;
        TokenFuture::Refused { refusal: ready(Ok(refusal)) }
    }
}

pin_project! {
    /// Either of the two, without a box.
    #[project = TokenFutureProj]
    enum TokenFuture<F> {
        Forwarded { #[pin] future: F },
        Refused { refusal: Ready<Result<Reply, ProxyError>> },
    }
}

impl<F> Future for TokenFuture<F>
where
    F: Future<Output = Result<Response<UpstreamBody>, ProxyError>>,
{
    type Output = Result<Reply, ProxyError>;

    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            TokenFutureProj::Forwarded { future } => {
                future.poll(cx).map_ok(|response| response.map(ResponseBody::upstream))
            }
            TokenFutureProj::Refused { refusal } => std::pin::Pin::new(refusal).poll(cx),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let cluster = Cluster::builder("service").endpoints([service().await?])?.build();
    let proxy = ServiceBuilder::new()
        .layer(RespondLayer::new())
        .layer(SanitizeLayer::new())
        .layer(TokenLayer(HeaderValue::from_static("secret")))
        .service(cluster);

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, Router::new().fallback_service(proxy)).await?;
    Ok(())
}

/// Stands in for a service of yours. Returns its address.
async fn service() -> Result<String, Box<dyn Error>> {
    let app = Router::new().fallback(|| async { "welcome\n" });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address.to_string())
}
