//! Requests that go on only when they are complete.
//!
//! An app that is slow to read, or that should not see requests which are given up half way, gets
//! them whole. A body of more bytes than the limit is answered with a 413; one that came without a
//! length gets a `content-length`. Envoy's `envoy.filters.http.buffer`.
//!
//! A request to switch protocols passes: it is never complete.
//!
//! ```
//! use axum::body::Body;
//! use axum::{Router, routing::post};
//! use front_proxy_layers::buffer::BufferLayer;
//! use http::{Request, StatusCode};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let app: Router = Router::new().route("/", post(|| async { "read" })).layer(BufferLayer::new(10));
//! let response = app.clone().oneshot(Request::post("/").body(Body::from("1234567890"))?).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//! let response = app.oneshot(Request::post("/").body(Body::from("12345678901"))?).await?;
//! assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
//! # Ok(()) }
//! ```

mod future;
mod layer;
mod service;
mod whole;

pub use future::ResponseFuture;
pub use layer::BufferLayer;
pub use service::Buffer;

#[cfg(test)]
mod tests;
