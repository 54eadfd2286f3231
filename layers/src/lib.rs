//! Tower layers that proxy.
#![forbid(unsafe_code)]

mod headers;
mod uri_path;
pub mod worker;
pub mod stats;
pub mod response_flags;
pub mod format;
pub mod header_edit;
pub mod sanitize;
pub mod forwarded;
pub mod request_id;
pub mod server_header;
pub mod respond;
pub mod route;
pub mod router;
pub mod timeout;
pub mod upstream_stats;
pub mod upstream_timing;
pub mod cluster;
pub mod balance;
pub mod discover;
pub mod endpoint;
pub mod http2;
pub mod body;
pub mod error;
