//! What can be set when the sandbox starts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::str::FromStr;

use clap::value_parser;

use super::Error;

/// What the sandbox is started with.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Options {
    /// Where the front proxy listens.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub address: IpAddr,
    /// The front proxy's port for HTTP.
    #[arg(long, default_value_t = 8080, value_parser = value_parser!(u16).range(1..))]
    pub http_port: u16,
    /// The front proxy's port for HTTPS.
    #[arg(long, default_value_t = 8443, value_parser = value_parser!(u16).range(1..))]
    pub https_port: u16,
    /// The front proxy's admin port.
    #[arg(long, default_value_t = 8001, value_parser = value_parser!(u16).range(1..))]
    pub admin_port: u16,
    /// The port for `sandbox scale`, on 127.0.0.1.
    #[arg(long, default_value_t = Self::CONTROL_PORT)]
    pub control_port: u16,
    /// The port of every instance's sidecar, on the instance's own address.
    #[arg(long, default_value_t = 8000, value_parser = value_parser!(u16).range(1..))]
    pub service_port: u16,
    /// The port of the DNS server that answers for the services, on 127.0.0.1 [0: any].
    #[arg(long, default_value_t = 0)]
    pub dns_port: u16,
    /// How many instances a service has at start; may be repeated.
    #[arg(long, value_name = "SERVICE=N")]
    pub scale: Vec<Scale>,
}

impl Options {
    /// The default of [`control_port`](Self::control_port).
    pub const CONTROL_PORT: u16 = 8002;

    /// Fails if one of the front proxy's ports is taken, before anything is started.
    ///
    /// A proxy's listeners share their port with other processes of the same user (SO_REUSEPORT),
    /// so a second sandbox would otherwise start and get every other connection of the first.
    pub(super) fn check_front_addresses(&self) -> Result<(), Error> {
        // All are held until all are had, so that one port for two purposes is found too.
        let mut held = Vec::new();
        for (port, what, flag) in [
            (self.http_port, "the front proxy's HTTP port", "--http-port"),
            (self.https_port, "the front proxy's HTTPS port", "--https-port"),
            (self.admin_port, "the front proxy's admin port", "--admin-port"),
        ] {
            let address = SocketAddr::new(self.address, port);
            let listener = TcpListener::bind(address);
            held.push(listener.map_err(|e| Error::bind(what, address, flag, e))?);
        }
        Ok(())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            http_port: 8080,
            https_port: 8443,
            admin_port: 8001,
            control_port: Self::CONTROL_PORT,
            service_port: 8000,
            dns_port: 0,
            scale: Vec::new(),
        }
    }
}

/// `service1=3`: how many instances a service shall have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// The service's name.
    pub service: String,
    /// How many; 0 takes the service away.
    pub instances: usize,
}

impl Scale {
    /// How many instances `service` shall have.
    pub fn new(service: impl Into<String>, instances: usize) -> Self {
        Self { service: service.into(), instances }
    }
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once('=')
            .and_then(|(service, n)| Some(Self::new(service, n.parse().ok()?)))
            .filter(|scale| !scale.service.is_empty())
            .ok_or_else(|| format!("`{text}` is not of the form SERVICE=N, as in service1=3"))
    }
}
