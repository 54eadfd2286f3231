//! A proxy ready-made: the layers of this crate in their order, as one service to mount.
//!
//! [`Proxy`] takes any request and never fails: what goes wrong behind it becomes the response that
//! Envoy would give. An axum app mounts it with `route_service`, `nest_service` or
//! `fallback_service`:
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use front_proxy_layers::cluster::Cluster;
//! use front_proxy_layers::proxy::Proxy;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let one = Cluster::new("service1", ["127.0.0.1:8001", "127.0.0.1:8002"])?;
//!     let two = Cluster::new("service2", ["127.0.0.1:8003"])?;
//!     let proxy = Proxy::builder().route("/service/1", one).route("/service/2", two).build();
//!     let app = Router::new().route("/", get(|| async { "the app" })).fallback_service(proxy);
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     Ok(axum::serve(listener, app).await?)
//! }
//! ```
//!
//! # What it is made of
//!
//! An [`HttpConnectionManager`](crate::http_connection_manager::HttpConnectionManager), where the chain
//! of layers is, behind a [`Mount`](crate::mount::Mount). For another order, or for layers of your own
//! in between, put them together yourself: see the [guide](crate::guide::order).
//!
//! # Filters
//!
//! A layer of yours, or one of this crate's [filters](crate::filters), has its place between the
//! route and what the route does, as Envoy's `http_filters` have: see
//! [`http_filter`](ProxyBuilder::http_filter). Without any, nothing is boxed.
//!
//! # Paths under `nest_service`
//!
//! axum takes what it has matched from the path. If the upstream is to see the path that the
//! client asked for, say [`nested_at`](ProxyBuilder::nested_at), or use `route_service` with a
//! wildcard, or `fallback_service`: see [`mount`](crate::mount).
//!
//! # Who the client is
//!
//! A service does not know who is connected. Whoever does puts a [`Peer`](crate::forwarded::Peer)
//! into the request's extensions, for `x-forwarded-for` and its like. With the feature `axum` there
//! is `ProxyBuilder::connect_info`, which makes one of axum's `ConnectInfo`.
//!
//! # What went wrong
//!
//! A response that the proxy made because something failed has the
//! [`ErrorKind`](crate::error::ErrorKind) in its extensions, for layers around the proxy:
//!
//! ```
//! use front_proxy_layers::cluster::Cluster;
//! use front_proxy_layers::error::ErrorKind;
//! use front_proxy_layers::proxy::Proxy;
//! use http::Request;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let proxy = Proxy::new(Cluster::builder("empty").build());
//! let request = Request::get("/").header("host", "example.com").body(String::new())?;
//! let response = proxy.oneshot(request).await?;
//! assert_eq!(response.status(), 503);
//! assert_eq!(response.extensions().get(), Some(&ErrorKind::NoHealthyUpstream));
//! # Ok(()) }
//! ```

mod builder;
mod http_filters;
mod route;
mod service;
mod virtual_host;

pub use builder::ProxyBuilder;
pub use route::Route;
pub use service::Proxy;
pub use virtual_host::VirtualHost;
