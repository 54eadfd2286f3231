//! What keeps a client on one endpoint: the hash of a route's `hash_policy`.
//!
//! Under a hashing balancer ([`RingHash`](crate::balance::RingHash),
//! [`Maglev`](crate::balance::Maglev)), requests of equal hash go to the same endpoint. The layer
//! makes the hash (xxHash64, combined as Envoy does) of a header, the client's address, a query
//! parameter or a cookie, which it gives to clients that have none.
//!
//! ```
//! use front_proxy_layers::body::Body;
//! use front_proxy_layers::cluster::BalanceHash;
//! use front_proxy_layers::error::ProxyError;
//! use front_proxy_layers::hash_policy::HashPolicyLayer;
//! use front_proxy_layers::route::HashPolicy;
//! use http::{HeaderName, Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let name = HeaderName::from_static("x-user");
//! let layer = HashPolicyLayer::new([HashPolicy::Header { name, terminal: false }]);
//! let service = ServiceBuilder::new().layer(layer).service_fn(|request: Request<Body>| async move {
//!     assert!(request.extensions().get::<BalanceHash>().is_some());
//!     Ok::<_, ProxyError>(Response::new(Body::empty()))
//! });
//! let request = Request::get("/").header("x-user", "alice").body(Body::empty()).unwrap();
//! service.oneshot(request).await.unwrap();
//! # }
//! ```

mod future;
mod hash;
mod layer;
mod service;

pub use future::ResponseFuture;
pub use layer::HashPolicyLayer;
pub use service::Hashing;
