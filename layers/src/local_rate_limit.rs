//! A limit on the rate of requests, kept in this process.
//!
//! A [`TokenBucket`] holds a token for each request that may come; it is filled at a steady rate.
//! Who finds it empty is answered with a 429, or whatever status is wanted. Envoy's
//! `envoy.filters.http.local_ratelimit`.
//!
//! Layers with the same bucket share its tokens, whichever threads and connections they serve.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use axum::body::Body;
//! use axum::{Router, routing::get};
//! use front_proxy_layers::local_rate_limit::{LocalRateLimitLayer, LocalRateLimitSettings, TokenBucket};
//! use http::{Request, StatusCode};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bucket = TokenBucket::new(1, 1, Duration::from_secs(60));
//! let settings = LocalRateLimitSettings { x_ratelimit_headers: true, ..LocalRateLimitSettings::default() };
//! let limit = LocalRateLimitLayer::new(Arc::new(bucket), settings);
//! let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(limit);
//!
//! let ask = || Request::get("/").body(Body::empty());
//! assert_eq!(app.clone().oneshot(ask()?).await?.status(), StatusCode::OK);
//! let limited = app.oneshot(ask()?).await?;
//! assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
//! assert_eq!(limited.headers()["x-ratelimit-reset"], "60");
//! # Ok(()) }
//! ```

mod bucket;
mod future;
mod layer;
mod service;

pub use bucket::TokenBucket;
pub use future::ResponseFuture;
pub use layer::{LocalRateLimitLayer, LocalRateLimitSettings, LocalRateLimitStats};
pub use service::LocalRateLimit;

#[cfg(test)]
mod tests;
