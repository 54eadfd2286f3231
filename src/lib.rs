//! Envoy's front proxy: a bootstrap in, sockets out.
//!
//! The program is [`cli::run`]. A program of your own takes what it needs:
//!
//! - [`server::Server`] runs a bootstrap in the process, with all that belongs to it;
//! - [`from_config`] makes services of a bootstrap's listeners, for an axum app to mount;
//! - [`admin::router`] is the admin pages as an axum app, over a [`stats::Registry`] and other handles;
//! - [`sandbox::Sandbox`] runs the front proxy example, for tests that want real neighbours.
//!
//! What happens to a request is not in this crate but in [`front_proxy_layers`], whose `proxy::Proxy`
//! needs no bootstrap. Modules are listed so: what reads the configuration, what a request meets,
//! what runs it, what shows it, the sandbox.
//!
//! ```no_run
//! use front_proxy::server::{Server, ServerOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let bootstrap = front_proxy::config::load_file("envoy.yaml")?;
//! let server = Server::start(bootstrap, ServerOptions::default()).await?;
//! for (name, address) in server.listeners() {
//!     println!("{name}: {address}");
//! }
//! server.shutdown().await;
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
mod listener;
mod tls;
pub mod connection;
pub mod access_log;
mod routes;
mod http_filters;
pub mod cluster_manager;
pub mod runtime;
pub mod server;
pub mod embed;
mod watchdog;
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
