//! One endpoint of a cluster, as discovery sees it.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::health::HealthStatus;

/// One endpoint of a cluster, as discovery sees it.
///
/// ```
/// use front_proxy_layers::discover::Member;
///
/// let member = Member { weight: 3, ..Member::try_from("127.0.0.1:8000")? };
/// assert_eq!(member.address.port(), 8000);
/// let error = Member::try_from("localhost:8000").unwrap_err();
/// assert_eq!(error.to_string(), "`localhost:8000` is not an IP address with a port");
/// # Ok::<(), front_proxy_layers::discover::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Where it listens.
    pub address: SocketAddr,
    /// The name it was found under or was given, else its address as configured. Never resolved
    /// again: it is what `/clusters` shows and what a host rewrite puts into `Host`.
    pub hostname: Arc<str>,
    /// Its share of requests, against the other members'.
    pub weight: u32,
    /// Where it is, where that is known.
    pub locality: Option<Arc<Locality>>,
    /// Its priority; 0 is used first.
    pub priority: u32,
    /// What is said of its health.
    pub status: HealthStatus,
    /// How it is to be checked, where that is special.
    pub checking: Option<Arc<Checking>>,
}

/// What active health checks do differently for one endpoint (`health_check_config`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Checking {
    /// It is not checked, and counts as one that passes.
    pub disabled: bool,
    /// The port that is checked, where it is not the one that serves.
    pub port: Option<u16>,
    /// The address that is checked, where it is not the one that serves.
    pub ip: Option<IpAddr>,
    /// The host that checks ask for.
    pub hostname: Option<Arc<str>>,
}

impl Member {
    /// A member of weight 1 and priority 0 with its IP address for a hostname.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            hostname: address.ip().to_string().into(),
            address,
            weight: 1,
            locality: None,
            priority: 0,
            status: HealthStatus::Unknown,
            checking: None,
        }
    }
}

impl From<SocketAddr> for Member {
    fn from(address: SocketAddr) -> Self {
        Self::new(address)
    }
}

impl TryFrom<&str> for Member {
    type Error = AddressError;

    /// Of an IP address with a port, as `127.0.0.1:8000` or `[::1]:8000`.
    fn try_from(text: &str) -> Result<Self, AddressError> {
        let address = text.parse().map_err(|_| AddressError::new(text, Wanted::Address))?;
        Ok(Self::new(address))
    }
}

impl TryFrom<&String> for Member {
    type Error = AddressError;

    fn try_from(text: &String) -> Result<Self, AddressError> {
        Self::try_from(text.as_str())
    }
}

impl TryFrom<String> for Member {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::try_from(text.as_str())
    }
}

/// Where an endpoint is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Locality {
    /// `region`
    pub region: String,
    /// `zone`
    pub zone: String,
    /// `sub_zone`
    pub sub_zone: String,
}

/// A text that is not the address it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    text: String,
    wanted: Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Address,
    #[cfg(feature = "dns")]
    Name,
}

impl AddressError {
    pub(super) fn new(text: &str, wanted: Wanted) -> Self {
        Self { text: text.to_owned(), wanted }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = match self.wanted {
            Wanted::Address => "an IP address with a port",
            #[cfg(feature = "dns")]
            Wanted::Name => "a host name with a port",
        };
        write!(f, "`{}` is not {wanted}", self.text)
    }
}

impl Error for AddressError {}
