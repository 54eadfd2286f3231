//! Envoy's front proxy as a library.
#![forbid(unsafe_code)]

pub mod config;
pub mod connection;
