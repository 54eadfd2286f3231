//! What the app around a proxy knows of a request, told to the layers further in: the path that
//! nesting took away, and who is connected.
//!
//! [`Proxy`](crate::proxy::Proxy) has this built in, with the same options on its builder. Put
//! [`MountLayer`] around anything else that you mount: a chain of your own, or what a bootstrap makes.
//!
//! # Paths under `nest_service`
//!
//! axum's `nest_service("/service/1", proxy)` takes `/service/1` from the path before the proxy sees
//! it: routes match, and the upstream gets, what is left.
//!
//! | mounted with | asked for | seen by routes and upstream |
//! |---|---|---|
//! | `route_service("/service/1/{*rest}", proxy)` | `/service/1/x?y` | `/service/1/x?y` |
//! | `fallback_service(proxy)` | `/service/1/x?y` | `/service/1/x?y` |
//! | `nest_service("/service/1", proxy)` | `/service/1/x?y` | `/x?y` |
//! | the same, [`nested_at("/service/1")`](MountLayer::nested_at) | `/service/1/x?y` | `/service/1/x?y` |
#![cfg_attr(
    feature = "axum",
    doc = "| the same, [`original_uri()`](MountLayer::original_uri) | `/service/1/x?y` | `/service/1/x?y` |"
)]
//!
//! After nesting nobody can tell `/service/1` from `/service/1/`: both come as `/`, and `nested_at` makes
//! `/service/1` of it.
#![cfg_attr(feature = "axum", doc = "`original_uri` keeps them apart.")]
//!
//! An upstream that is to see yet another path gets it by
//! [`Route::prefix_rewrite`](crate::proxy::Route::prefix_rewrite).
//!
//! ```
//! use std::convert::Infallible;
//!
//! use front_proxy_layers::mount::MountLayer;
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let says_path = service_fn(|request: Request<()>| async move {
//!     Ok::<_, Infallible>(Response::new(request.uri().to_string()))
//! });
//! let service = ServiceBuilder::new().layer(MountLayer::new().nested_at("/api")).service(says_path);
//! // What is left of `/api/users` under `nest("/api", ...)`.
//! let request = Request::get("/users").body(()).unwrap();
//! assert_eq!(service.oneshot(request).await.unwrap().into_body(), "/api/users");
//! # }
//! ```

#[cfg(feature = "axum")]
mod axum;
mod layer;
mod service;

pub use layer::MountLayer;
pub use service::Mount;
