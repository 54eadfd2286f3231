//! Retries: another try where an upstream failed, as Envoy's router makes them.
//!
//! A [`RetryPolicy`] says when: on statuses, resets, failed connections, gRPC statuses. Between
//! tries there is a jittered back-off, and the retries of a cluster in flight are
//! bounded by its circuit breakers ([`Resources::retries`](crate::cluster::Resources)), so that
//! retries don't drown an upstream that is in trouble already. A request body is streamed and a
//! bounded copy of it kept; one that is larger goes through, but is not retried.
//!
//! The layer stands between a route's timeout, which bounds all tries together, and the
//! [`Cluster`](crate::cluster::Cluster), which it tells by [`Tries`](crate::cluster::Tries) what
//! endpoints to avoid. Without a policy it costs a request nothing.
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//!
//! use front_proxy_layers::body::Body;
//! use front_proxy_layers::error::ProxyError;
//! use front_proxy_layers::retry::RetryLayer;
//! use front_proxy_layers::route::{RetryOn, RetryPolicy};
//! use http::{Request, Response, StatusCode};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//! let flaky = service_fn(|_: Request<Body>| async {
//!     let mut response = Response::new(Body::empty());
//!     if CALLS.fetch_add(1, Ordering::Relaxed) == 0 {
//!         *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
//!     }
//!     Ok::<_, ProxyError>(response)
//! });
//! let policy = RetryPolicy {
//!     on: RetryOn { five_xx: true, ..RetryOn::default() },
//!     ..RetryPolicy::default()
//! };
//! let service = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(flaky);
//! let response = service.oneshot(Request::new(Body::empty())).await.unwrap();
//! assert_eq!(response.status(), StatusCode::OK);
//! assert_eq!(CALLS.load(Ordering::Relaxed), 2);
//! # }
//! ```
//!
//! [`RetryPolicy`]: crate::route::RetryPolicy

mod backoff;
mod body;
mod clock;
mod future;
mod layer;
mod plan;
mod replay;
mod service;
mod state;
mod tried;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::RetryLayer;
pub use service::Retry;

#[cfg(test)]
mod tests;
