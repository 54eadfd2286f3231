//! Where a request came from: `x-forwarded-*`, and what of the client's word is trusted.
//!
//! Envoy's rules (its documentation of [headers](https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers)):
//!
//! - By default nothing is made of the connection: an `x-forwarded-for` passes as it came, and
//!   `x-forwarded-proto` is set only where the client gave none.
//! - With `use_remote_address` the proxy is an edge: the peer is appended to `x-forwarded-for`,
//!   `x-forwarded-proto` is the connection's, and an external client gets
//!   `x-envoy-external-address`.
//! - The router's controls (`x-envoy-retry-on`, `x-envoy-upstream-rq-timeout-ms` ...) are taken
//!   from every request that does not come from an internal address. No address is internal unless
//!   configured.
//! - `x-forwarded-client-cert` goes, unless [`ForwardClientCert`] says otherwise.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use front_proxy_layers::forwarded::{ForwardedLayer, ForwardedPolicy, Peer};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let says_for_whom = service_fn(|request: Request<()>| async move {
//!     Ok::<_, Infallible>(Response::new(request.headers()["x-forwarded-for"].clone()))
//! });
//! let edge = ForwardedPolicy { use_remote_address: true, ..ForwardedPolicy::default() };
//! let service = ServiceBuilder::new().layer(ForwardedLayer::new(edge)).service(says_for_whom);
//! let request = Request::get("/")
//!     .header("x-forwarded-for", "192.0.2.1")
//!     .extension(Peer { address: "198.51.100.7:40000".parse()?, tls: true })
//!     .body(())?;
//! assert_eq!(service.oneshot(request).await?.body(), "192.0.2.1,198.51.100.7");
//! # Ok(()) }
//! ```

mod layer;
mod policy;

pub use layer::{Forwarded, ForwardedLayer};
pub use policy::{Client, ForwardClientCert, ForwardedPolicy, Peer};

#[cfg(test)]
mod tests;
