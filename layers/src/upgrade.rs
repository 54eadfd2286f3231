//! Protocol switches: WebSocket and other `Upgrade`s, and `CONNECT`.
//!
//! A switch is a request whose body and response body have no end until one side hangs up, and it
//! goes through the layers as just that: the bytes of the client are the request's body, the bytes
//! of the upstream the response's. So whatever counts, times or logs bodies does so for tunnels
//! too, and what a layer keeps until a response ends it keeps until the tunnel ends.
//!
//! [`UpgradeLayer`] stands outermost and turns the one into the other: it takes the client's
//! stream out of the request (hyper's [`OnUpgrade`]; axum hands it on), leaves an [`Asked`] in its
//! place, and moves bytes once the response says `101` (or `2xx` to a `CONNECT`). Further in
//! [`sanitize`](crate::sanitize) lets the headers of such a request pass, the
//! [`router`](crate::router) decides by its [rules](crate::route::UpgradeRule) whether the protocol
//! may be switched, and the [`cluster`](crate::cluster) does its half of the switch.
//!
//! WebSocket over HTTP/2 (RFC 8441) becomes the HTTP/1 form on its way in, and its response the
//! HTTP/2 form on its way out. Towards an upstream that speaks HTTP/2 the cluster does the reverse.
//!
//! As in Envoy the end of one side's stream ends the tunnel: what it has sent is passed on, then
//! the other side is closed.
//!
//! ```
//! use std::sync::Arc;
//!
//! use front_proxy_layers::cluster::Cluster;
//! use front_proxy_layers::respond::RespondLayer;
//! use front_proxy_layers::route::{PathMatch, RouteMatch, RouteTable};
//! use front_proxy_layers::router::{RouteEntry, Router};
//! use front_proxy_layers::sanitize::SanitizeLayer;
//! use front_proxy_layers::upgrade::UpgradeLayer;
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let chat = RouteEntry::forward(Cluster::builder("chat").build());
//! let table = RouteTable::builder()
//!     .virtual_host("all", ["*"], [(RouteMatch::new(PathMatch::Prefix("/chat".into())), chat)])
//!     .build()?;
//! // A service for axum (`route_service`, `fallback_service`) that proxies WebSocket as well.
//! let proxy = ServiceBuilder::new()
//!     .layer(UpgradeLayer::new().allow("websocket"))
//!     .layer(RespondLayer::new())
//!     .layer(SanitizeLayer::new())
//!     .service(Router::new(Arc::new(table)));
//! let app = axum::Router::<()>::new().route_service("/chat", proxy);
//! # let _ = app;
//! # Ok(()) }
//! ```
//!
//! [`OnUpgrade`]: hyper::upgrade::OnUpgrade

mod asked;
mod body;
mod future;
mod layer;
mod pump;
mod source;

pub use asked::{ActiveUpgrade, Asked, is_granted};
pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::{Upgrade, UpgradeLayer};
pub(crate) use source::{Source, poll_piece};
