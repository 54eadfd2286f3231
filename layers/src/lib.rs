//! Tower layers that proxy.
#![forbid(unsafe_code)]

mod headers;
mod uri_path;
pub mod worker;
pub mod stats;
pub mod sanitize;
pub mod route;
