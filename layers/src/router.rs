//! The router: finds the route of a request and does what it says.
//!
//! The last of the HTTP filters, as in Envoy. A route forwards to a service, which it shares with
//! no other, or answers with a redirect or a fixed response. No route is a 404.
//!
//! ```
//! use std::sync::Arc;
//!
//! use front_proxy_layers::body::Body;
//! use front_proxy_layers::cluster::Cluster;
//! use front_proxy_layers::error::ErrorKind;
//! use front_proxy_layers::route::{PathMatch, RouteMatch, RouteTable};
//! use front_proxy_layers::router::{RouteEntry, Router};
//! use http::Request;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::builder("service1").build();
//! let table = RouteTable::builder()
//!     .virtual_host("backend", ["*"], [
//!         (RouteMatch::new(PathMatch::Prefix("/service/1".into())), RouteEntry::forward(cluster)),
//!     ])
//!     .build()?;
//! let router = Router::new(Arc::new(table));
//! let request = Request::get("/elsewhere").header("host", "example.com").body(Body::empty())?;
//! let error = router.oneshot(request).await.unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::NoRoute);
//! # Ok(()) }
//! ```

mod edits;
mod entry;
mod future;
mod service;
mod stats;

#[cfg(feature = "retry")]
pub(crate) use edits::AttemptCount;
pub(crate) use edits::RouteEdits;
pub use entry::{Destination, ForwardTarget, RouteEntry};
pub use future::ResponseFuture;
pub use service::Router;
pub(crate) use service::Selected;
pub use stats::RouterStats;
