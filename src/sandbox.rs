//! The front proxy sandbox in one process: a front proxy, sidecars and demo apps behind them.
//!
//! ```text
//!                      ┌─ 127.0.1.1:8000  sidecar ── app   service1
//! curl ── front proxy ─┼─ 127.0.1.2:8000  sidecar ── app   service1
//!   8080, 8443, 8001   └─ 127.0.2.1:8000  sidecar ── app   service2
//!              │
//!              └─ "where is service1?" ── DNS server
//! ```
//!
//! Nothing is short-circuited. The proxies are started from the bootstrap files in
//! `examples/front_proxy/` and talk over sockets on loopback addresses, where each instance has
//! one of its own as a container has. The front proxy finds instances by the name of their
//! service, which a small DNS server answers as Docker's does. Scaling a service changes that
//! answer and nothing else; the front proxy follows through its own discovery.
//!
//! The placeholders of the files (`${HTTP_PORT:-8080}`) are filled in here; the files' own
//! comments say how they look.
//!
//! ```no_run
//! use front_proxy::sandbox::{InProcess, Options, Sandbox, Scale};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::start(Options::default(), InProcess::default()).await?;
//! for instance in sandbox.scale(&Scale::new("service1", 3)).await? {
//!     println!("{} is at {}", instance.hostname, instance.sidecar);
//! }
//! sandbox.shutdown().await;
//! # Ok(()) }
//! ```

mod addresses;
mod certificate;
mod control;
mod dns;
mod error;
mod guide;
mod in_process;
mod instance;
mod options;
mod proxy;
mod services;
mod template;

// Instances need more of 127.0.0.0/8 than other systems have without preparation.
#[cfg(all(test, target_os = "linux"))]
mod tests;

pub use control::scale;
pub use error::Error;
pub use in_process::InProcess;
pub use instance::InstanceInfo;
pub use options::{Options, Scale};
pub use proxy::{BoxError, RunningProxy, StartProxy};

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::service::stop_signal;

use dns::{DnsServer, Names};
use services::Services;

const FRONT: &str = include_str!("../examples/front_proxy/envoy.yaml");

/// Runs the sandbox until Ctrl-C or SIGTERM.
///
/// # Errors
///
/// As [`Sandbox::start`].
pub async fn run(options: Options, proxy: impl StartProxy) -> Result<(), Error> {
    let sandbox = Sandbox::start(options, proxy).await?;
    // Nobody may be listening; the sandbox runs all the same.
    _ = writeln!(io::stdout(), "{}", sandbox.guide().await);
    stop_signal().await;
    tokio::select! {
        () = sandbox.shutdown() => {}
        // Asked again: don't wait for what is under way.
        () = stop_signal() => {}
    }
    Ok(())
}

/// A running sandbox.
#[derive(Debug)]
pub struct Sandbox<P: StartProxy> {
    options: Options,
    services: Arc<Services<P>>,
    front: RunningProxy,
    control: control::Server,
    _dns: DnsServer,
}

impl<P: StartProxy> Sandbox<P> {
    /// Starts everything: when this returns, the front proxy can be asked.
    ///
    /// What is started comes in the order in which it is needed, the front proxy last.
    ///
    /// # Errors
    ///
    /// A port is taken, a service is not known, or a proxy did not start.
    pub async fn start(mut options: Options, proxy: P) -> Result<Self, Error> {
        let control = control::Listener::bind(options.control_port).await?;
        options.check_front_addresses()?;
        options.control_port = control.address().port();

        let names = Names::default();
        let dns = DnsServer::start(options.dns_port, names.clone()).await?;
        let services = Arc::new(Services::new(proxy, names, options.service_port));
        match start_proxies(&services, &options, dns.address()).await {
            Ok(front) => Ok(Self {
                control: control.serve(Arc::clone(&services)),
                options,
                services,
                front,
                _dns: dns,
            }),
            Err(error) => {
                services.stop().await;
                Err(error)
            }
        }
    }

    /// Changes how many instances a service has, and returns the new ones in full.
    ///
    /// # Errors
    ///
    /// The service is not known, or an instance did not start.
    pub async fn scale(&self, scale: &Scale) -> Result<Vec<InstanceInfo>, Error> {
        self.services.scale(scale).await
    }

    /// The instances of all services.
    pub async fn instances(&self) -> Vec<InstanceInfo> {
        self.services.instances().await
    }

    /// Where [`scale`] reaches this sandbox.
    pub fn control_address(&self) -> SocketAddr {
        self.control.address()
    }

    /// What runs where, and what to try.
    pub async fn guide(&self) -> String {
        guide::text(&self.options, &self.instances().await)
    }

    /// Stops everything, the front proxy first, so that it can finish what it has under way.
    pub async fn shutdown(self) {
        self.control.stop().await;
        self.front.shutdown().await;
        self.services.stop().await;
    }
}

async fn start_proxies<P: StartProxy>(
    services: &Services<P>,
    options: &Options,
    dns: SocketAddr,
) -> Result<RunningProxy, Error> {
    for scale in &options.scale {
        services.check(scale)?;
    }
    for name in services.names() {
        let one = Scale::new(name, 1);
        let scale = options.scale.iter().rev().find(|s| s.service == name);
        services.scale(scale.unwrap_or(&one)).await?;
    }

    let certificate = certificate::self_signed("front-envoy")?;
    let bootstrap = template::render(
        FRONT,
        &[
            ("ADDRESS", options.address.to_string()),
            ("HTTP_PORT", options.http_port.to_string()),
            ("HTTPS_PORT", options.https_port.to_string()),
            ("ADMIN_PORT", options.admin_port.to_string()),
            ("SERVICE_PORT", options.service_port.to_string()),
            ("DNS_ADDRESS", dns.ip().to_string()),
            ("DNS_PORT", dns.port().to_string()),
            ("CERTIFICATE", template::quoted(&certificate.chain)),
            ("PRIVATE_KEY", template::quoted(&certificate.key)),
        ],
    )?;
    let front = services.proxy().start(&bootstrap, "front-proxy").await;
    front.map_err(|source| Error::Proxy { name: "front-proxy".to_owned(), source })
}
