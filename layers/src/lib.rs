#![doc = include_str!("../README.md")]
//!
//! The [`guide`] has it at length.
#![forbid(unsafe_code)]
// Says of each item which feature it needs. docs.rs builds with a compiler that can.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod guide;
mod clock;
mod date;
mod headers;
mod lock;
mod oneshot;
mod sync;
mod task;
mod timer;
mod uri_path;
pub mod runtime;
pub mod worker;
pub mod proxy;
pub mod mount;
pub mod http_connection_manager;
pub mod upgrade;
pub mod stats;
#[cfg(feature = "access-log")]
pub mod access_log;
pub mod response_flags;
pub mod format;
pub mod header_edit;
pub mod stream_info;
pub mod sanitize;
pub mod forwarded;
pub mod request_id;
pub mod server_header;
pub mod respond;
pub mod filters;
pub mod fault;
pub mod cors;
pub mod local_rate_limit;
pub mod buffer;
pub mod health_check_filter;
pub mod local_reply;
pub mod route;
pub mod router;
pub mod timeout;
pub mod hash_policy;
#[cfg(feature = "retry")]
pub mod retry;
pub mod upstream_stats;
pub mod upstream_timing;
pub mod handler;
pub mod cluster;
pub mod balance;
pub mod discover;
pub mod health;
pub mod health_check;
pub mod outlier;
#[cfg(feature = "rustls")]
pub mod tls_names;
#[cfg(all(feature = "tls", not(feature = "rustls")))]
#[allow(unreachable_pub)] // public with the feature `rustls`
mod tls_names;
pub mod endpoint;
pub mod http2;
pub mod body;
pub mod trailers;
pub mod error;
pub mod flow_control;
pub mod gather;
