//! The route timeout: how long the upstream may take for a whole response.
//!
//! The clock starts when the request is complete and stops when the response has ended, as in
//! Envoy (default 15 s). Before the head it is answered with 504 `upstream request timeout`;
//! afterwards the response is cut off, since its status is gone. What is left for the upstream is
//! announced to it in `x-envoy-expected-rq-timeout-ms`.
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
mod future;
mod layer;
mod service;
pub(crate) mod timer;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::TimeoutLayer;
pub use service::Timeout;
