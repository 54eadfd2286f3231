//! `x-envoy-upstream-service-time`: how long the upstream took, told to the client.
//!
//! Whole milliseconds from the end of the request to the head of the response, as Envoy's router
//! measures it: the upstream's own time and the network to it and back, without the time that the
//! client took to send its request. A value that the upstream sent is replaced in place.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use front_proxy_layers::upstream_timing::UpstreamTimingLayer;
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let app = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new("hello")) });
//! let service = ServiceBuilder::new().layer(UpstreamTimingLayer::new()).service(app);
//! let response = service.oneshot(Request::new(())).await.unwrap();
//! assert_eq!(response.headers()["x-envoy-upstream-service-time"], "0");
//! # }
//! ```

mod future;
mod layer;
mod service;

pub use future::ResponseFuture;
pub use layer::UpstreamTimingLayer;
pub use service::UpstreamTiming;
