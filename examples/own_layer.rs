//! A layer of your own on the request path: it refuses requests without a token before they reach a
//! cluster, but for those of one route. It has its place among the proxy's layers, so that a refusal is
//! counted and logged like any other answer.
//!
//! ```text
//! cargo run --example own_layer
//! curl -i localhost:3000/                          # 401
//! curl -i -H 'x-token: secret' localhost:3000/    # 200
//! curl -i localhost:3000/public                    # 200
//! ```
//!
//! Next: give the layer state of its own, such as a list of tokens in an `Arc`; fail with a
//! `ProxyError` instead of answering; have another token for a route, by a filter of the same name.
//! As a filter a layer costs a boxed future; in a chain of layers that you put together by hand, as in
//! `compose_layers`, it costs none.

use std::error::Error;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use axum::Router as App;
use front_proxy_layers::body::{Body, ResponseBody};
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::error::ProxyError;
use front_proxy_layers::proxy::{Proxy, Route};
use futures_util::future::Either;
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tower::{Layer, Service};

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

/// Requests and answers are those of the proxy's layers on either side, whatever the upstream's body.
impl<S, B> Service<Request<Body>> for Token<S>
where
    S: Service<Request<Body>, Response = Response<ResponseBody<B>>, Error = ProxyError>,
{
    type Response = S::Response;
    type Error = ProxyError;
    type Future = Either<S::Future, Ready<Result<S::Response, ProxyError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.headers().get("x-token") == Some(&self.expected) {
            return Either::Left(self.inner.call(request));
        }
        let mut refusal = Response::new(ResponseBody::local("who are you?\n".into()));
        *refusal.status_mut() = StatusCode::UNAUTHORIZED;
        Either::Right(ready(Ok(refusal)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let cluster = Cluster::new("service", [service().await?])?;
    let proxy = Proxy::builder()
        .http_filter("token", TokenLayer(HeaderValue::from_static("secret")))
        .route("/public", Route::to(cluster.clone()).without_http_filter("token"))
        .route("/", cluster)
        .build();

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, App::new().fallback_service(proxy)).await?;
    Ok(())
}

/// Stands in for a service of yours. Returns its address.
async fn service() -> Result<String, Box<dyn Error>> {
    let app = App::new().fallback(|| async { "welcome\n" });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address.to_string())
}
