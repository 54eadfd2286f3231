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
pub mod route;
