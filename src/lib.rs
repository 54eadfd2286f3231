//! Envoy's front proxy as a library.
#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
mod listener;
pub mod connection;
mod request_path;
pub mod access_log;
mod routes;
pub mod cluster_manager;
mod tls;
pub mod server;
pub mod embed;
mod workers;
pub mod shutdown;
pub mod stats;
pub mod admin;
pub mod sandbox;
pub mod service;

pub use embed::from_config;

/// The README's Rust is compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
