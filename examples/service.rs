//! The sandbox's demo app on its own.
//!
//! ```text
//! cargo run --example service
//! curl localhost:8080/service/1
//! ```
//!
//! Next: start a second one with another port and hostname, name both in the `local_service` cluster
//! of `examples/front_proxy/service-envoy.yaml`, and watch the answers alternate.

use clap::Parser;
use front_proxy::service;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: service::Options,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    service::run(Cli::parse().options).await
}
