//! The chain of layers that a request passes from its connection to its upstream: the one place
//! where they are put together.
//!
//! As Envoy's, an HTTP connection manager is made once, of everything that its connections have in
//! common, and hands out a service for each of them. The program makes one for each filter chain of a
//! listener; a [`Proxy`](crate::proxy::Proxy) is one that is handed its requests by an app.
//!
//! ```text
//! ConnectionService   Upgrade → Stats → AccessLog → ServerHeader → Respond → Sanitize → Forwarded → RequestId → Filtered
//! RouteService        UpstreamStats → Timeout → Hashing → UpstreamTiming → Retry → Cluster
//! ```
//!
//! Why in this order: see the [guide](crate::guide::order). The services are of one concrete type
//! each, so that nothing is boxed on the way, and those types say no more than what they do.
//!
//! ```
//! use std::time::Duration;
//!
//! use front_proxy_layers::cluster::Cluster;
//! use front_proxy_layers::filters::Filters;
//! use front_proxy_layers::forwarded::Peer;
//! use front_proxy_layers::http_connection_manager::{Connection, HttpConnectionManager, RouteLayer};
//! use front_proxy_layers::route::{RouteMatch, RouteTable};
//! use front_proxy_layers::router::RouteEntry;
//! use front_proxy_layers::stats::{DownstreamStats, Scope};
//! use front_proxy_layers::timeout::TimeoutLayer;
//! use http::Request;
//! use tower::{Layer, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let timeout = TimeoutLayer::new(Duration::from_secs(15));
//! let service = RouteLayer::new().timeout(timeout).layer(Cluster::builder("service1").build());
//! let routes = [(RouteMatch::prefix("/"), RouteEntry::forward(service))];
//! let routes = RouteTable::builder().virtual_host("backend", ["*"], routes).build()?;
//! let stats = DownstreamStats::new(&Scope::from_metrics(), "ingress_http");
//! let manager = HttpConnectionManager::new(stats, routes, Filters::new());
//!
//! // For each connection that is accepted:
//! let peer = Peer { address: "192.0.2.1:40000".parse()?, tls: false };
//! let service = manager.for_connection(Connection::new(peer));
//! let request = Request::get("/").header("host", "example.com").body(String::new())?;
//! assert_eq!(service.oneshot(request).await?.status(), 503);
//! # Ok(()) }
//! ```

mod body;
mod chain;
mod connection;
mod future;
mod manager;
mod route;
mod service;

pub use body::ResponseBody;
pub use connection::Connection;
pub use future::ResponseFuture;
pub use manager::HttpConnectionManager;
pub use route::{RouteBody, RouteFuture, RouteLayer, RouteService};
pub use service::ConnectionService;
