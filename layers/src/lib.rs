//! Tower layers that proxy.
#![forbid(unsafe_code)]

pub mod discover;
pub mod worker;
pub mod stats;
pub mod route;
