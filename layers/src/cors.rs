//! Cross-origin requests: which pages of other origins may use an app from a browser.
//!
//! A browser asks before it sends more than a plain request (a *preflight*: `OPTIONS` with `origin`
//! and `access-control-request-method`), and is told after each request whether the page may have
//! the response. Envoy's `envoy.filters.http.cors`: the preflight of an origin that is allowed is
//! answered here, that of any other goes on to the app, unless
//! [`forward_not_matching_preflights`](CorsPolicy::forward_not_matching_preflights) is off.
//! Nothing else is ever refused: it is the browser that keeps the response from the page.
//!
//! ```
//! use axum::body::Body;
//! use axum::{Router, routing::get};
//! use front_proxy_layers::cors::{CorsLayer, CorsPolicy};
//! use front_proxy_layers::route::StringMatch;
//! use http::{HeaderValue, Request};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let shop = StringMatch::Exact { value: "https://shop.example".into(), ignore_case: false };
//! let policy = CorsPolicy {
//!     allow_origins: vec![shop],
//!     allow_methods: Some(HeaderValue::from_static("GET, PUT")),
//!     ..CorsPolicy::default()
//! };
//! let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(CorsLayer::new(policy));
//! let preflight = Request::options("/")
//!     .header("origin", "https://shop.example")
//!     .header("access-control-request-method", "PUT")
//!     .body(Body::empty())?;
//! let response = app.oneshot(preflight).await?;
//! assert_eq!(response.headers()["access-control-allow-origin"], "https://shop.example");
//! assert_eq!(response.headers()["access-control-allow-methods"], "GET, PUT");
//! # Ok(()) }
//! ```

mod future;
mod layer;
mod policy;
mod service;

pub use future::ResponseFuture;
pub use layer::{CorsLayer, CorsStats};
pub use policy::CorsPolicy;
pub use service::Cors;

#[cfg(test)]
mod tests;
