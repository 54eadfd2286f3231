//! What can keep a sandbox from starting or scaling.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::proxy::BoxError;

/// Why the sandbox could not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A port is in use.
    PortTaken {
        /// What the port is for.
        what: &'static str,
        /// The address that could not be had.
        address: SocketAddr,
        /// The option that sets another one.
        flag: &'static str,
    },
    /// This machine does not have one of the loopback addresses.
    NoSuchAddress {
        /// The address.
        address: IpAddr,
    },
    /// An address can't be listened on for another reason.
    Listen {
        /// What it is for.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
    /// There is no such service, or it can't have so many instances.
    Scale(String),
    /// A proxy did not start.
    Proxy {
        /// Which one.
        name: String,
        /// Why.
        source: BoxError,
    },
    /// The certificate could not be made.
    Certificate(rcgen::Error),
    /// A placeholder of a bootstrap file has no value, or a value has no placeholder.
    Template(String),
    /// The sandbox to be scaled does not answer.
    Control {
        /// Where it was expected.
        address: SocketAddr,
        /// What went wrong.
        source: BoxError,
    },
}

impl Error {
    pub(super) fn bind(
        what: &'static str,
        address: SocketAddr,
        flag: &'static str,
        source: io::Error,
    ) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::PortTaken { what, address, flag },
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress { address: address.ip() },
            _ => Self::Listen { what, address, source },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortTaken { what, address, flag } => write!(
                f,
                "port {} is taken: {what} can't listen on {address}, because something else \
                 does. Stop that, or choose another port with {flag}",
                address.port()
            ),
            Self::NoSuchAddress { address } if address.is_loopback() => write!(
                f,
                "this machine has no address {address}. Every instance has a loopback address of \
                 its own; Linux has all of 127.0.0.0/8, but macOS and the BSDs only 127.0.0.1. \
                 Add the missing ones, for example with `sudo ifconfig lo0 alias {address}`: \
                 127.0.1.1, 127.0.1.2 ... for service1 and 127.0.2.1, 127.0.2.2 ... for service2"
            ),
            Self::NoSuchAddress { address } => {
                write!(f, "this machine has no address {address}")
            }
            Self::Listen { what, address, source } => {
                write!(f, "{what} can't listen on {address}: {source}")
            }
            Self::Scale(message) => f.write_str(message),
            Self::Proxy { name, source } => write!(f, "{name} did not start: {source}"),
            Self::Certificate(source) => write!(f, "no certificate could be made: {source}"),
            Self::Template(message) => f.write_str(message),
            Self::Control { address, source } => write!(
                f,
                "no sandbox answers on {address}: {source}. Start one with `front-proxy sandbox`; \
                 if it has another control port, name it with --control-port"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } => Some(source),
            Self::Proxy { source, .. } | Self::Control { source, .. } => Some(&**source),
            Self::Certificate(source) => Some(source),
            _ => None,
        }
    }
}
