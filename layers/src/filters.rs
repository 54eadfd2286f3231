//! HTTP filters: layers between the finding of a route and the [router](crate::router), which
//! differ from route to route.
//!
//! As in Envoy the route of a request is found first. It says which chain of filters the request
//! passes; the router then does what the route says, whatever the filters have made of the request.
//! A filter is any tower layer that takes a [`Request`](http::Request) with a [`Body`] and lets
//! errors of the service inside pass; what the router fails comes to it as a response. Those of this
//! crate: [`fault`](crate::fault), [`cors`](crate::cors), [`buffer`](crate::buffer),
//! [`local_rate_limit`](crate::local_rate_limit), [`health_check_filter`](crate::health_check_filter).
//!
//! A request whose chain is empty goes to the router as if there were no filters. Otherwise each
//! filter costs a boxed future.
//!
//! A [`Proxy`](crate::proxy::Proxy) takes them by
//! [`http_filter`](crate::proxy::ProxyBuilder::http_filter). Where they are the same for all requests
//! and need nothing of what is inside, put the layers around the proxy or the router instead.
//!
//! ```
//! use std::sync::Arc;
//!
//! use front_proxy_layers::body::Body;
//! use front_proxy_layers::cluster::Cluster;
//! use front_proxy_layers::fault::{Abort, FaultLayer, FaultSettings};
//! use front_proxy_layers::filters::{Filtered, Filters};
//! use front_proxy_layers::route::{Fraction, PathMatch, RouteMatch, RouteTable};
//! use front_proxy_layers::router::{RouteEntry, Router};
//! use http::{Request, StatusCode};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut filters = Filters::new();
//! let broken = filters.chain().filter(FaultLayer::new(FaultSettings {
//!     abort: Some(Abort::status(StatusCode::IM_A_TEAPOT, Fraction::ALL)),
//!     ..FaultSettings::default()
//! }));
//! let broken = filters.add(broken);
//!
//! let table = RouteTable::builder()
//!     .virtual_host("backend", ["*"], [(
//!         RouteMatch::new(PathMatch::Prefix("/".into())),
//!         RouteEntry::forward(Cluster::builder("service1").build()).filters(broken),
//!     )])
//!     .build()?;
//! let app = Filtered::new(Router::new(Arc::new(table)), filters);
//! let response = app.oneshot(Request::new(Body::empty())).await?;
//! assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
//! # Ok(()) }
//! ```

mod chain;
mod future;
mod next;
mod service;

pub use chain::{Chain, ChainId, Filter, Filters};
pub use future::ResponseFuture;
pub use next::{Next, NextFuture};
pub use service::Filtered;

#[cfg(doc)]
use crate::body::Body;

#[cfg(test)]
mod tests;
