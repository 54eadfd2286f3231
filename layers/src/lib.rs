//! Tower layers that proxy.
#![forbid(unsafe_code)]

pub mod worker;
pub mod stats;
pub mod route;
pub mod cluster;
pub mod balance;
pub mod discover;
pub mod endpoint;
pub mod body;
pub mod error;
pub mod upstream_timing;
pub mod upstream_stats;
pub mod timeout;
pub mod respond;
pub mod request_id;
pub mod sanitize;
pub mod forwarded;
