//! Timeouts of a request and its response.
//!
//! | timeout | runs | answer |
//! |---|---|---|
//! | route ([`TimeoutLayer::new`], Envoy's default is 15 s) | from the end of the request to the end of the response | 504 `upstream request timeout` |
//! | [idle](TimeoutLayer::idle) (5 min) | while nothing of request or response moves | 504, before the end of the request 408 `stream timeout` |
//! | [request](TimeoutLayer::request) | until the end of the request | 408 `request timeout` |
//! | [stream duration](TimeoutLayer::max_stream_duration) | from the head of the request to the end of the response | 504 `downstream duration timeout` |
//! | [upstream stream duration](TimeoutLayer::max_upstream_stream_duration) | the same, as a limit of the cluster | 504 `upstream max stream duration reached` |
//!
//! Once the head of the response is out its status is gone: then the response is cut off. The route
//! timeout is announced to the upstream in `x-envoy-expected-rq-timeout-ms`, and ends when the
//! upstream switches protocols; the others go on in the tunnel.
//!
//! All of them share one timer, which is kept from request to request: a timeout that does not
//! strike costs next to nothing.
//!
//! ```
//! use std::convert::Infallible;
//! use std::time::Duration;
//!
//! use front_proxy_layers::body::Body;
//! use front_proxy_layers::error::{ErrorKind, ProxyError};
//! use front_proxy_layers::timeout::TimeoutLayer;
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let never = service_fn(|_: Request<Body>| async {
//!     std::future::pending::<Result<Response<Body>, ProxyError>>().await
//! });
//! let service = ServiceBuilder::new().layer(TimeoutLayer::new(Duration::from_secs(1))).service(never);
//! let error = service.oneshot(Request::new(Body::empty())).await.unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::UpstreamTimeout);
//! # }
//! ```

mod body;
mod clock;
mod future;
mod layer;
mod service;
mod striking;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::TimeoutLayer;
pub use service::Timeout;
pub(crate) use striking::has_struck;
#[cfg(feature = "retry")]
pub(crate) use striking::tell_attempts;

#[cfg(test)]
mod tests;
