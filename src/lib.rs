//! Envoy's front proxy as a library.
#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
