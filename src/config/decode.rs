//! The decoders: one function for each message, from the tree to the model.
//!
//! A decoder reports what is wrong and goes on, so that one run finds everything. What it returns
//! after an error is never used: the reader gives out a model only where nothing was reported.

mod access_log;
mod any;
mod bootstrap;
mod cluster;
mod dns;
mod filters;
mod fraction;
mod headers;
mod health;
mod health_check;
mod http_connection_manager;
mod http_options;
mod listener;
mod outlier;
mod replies;
mod retry;
mod route_action;
mod route_match;
mod route_table;
mod runtime;
mod shared;
mod stats;
mod tls;
mod upstream_http;

pub(super) use bootstrap::bootstrap;
pub(super) use runtime::entry as runtime_entry;
