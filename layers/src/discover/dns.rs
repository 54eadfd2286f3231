//! Members by DNS: names are looked up again and again, and the members follow the answers.
//!
//! What Envoy 1.40 does, measured, is what these do:
//!
//! | answer | [`StrictDns`] | [`LogicalDns`] |
//! |---|---|---|
//! | addresses | all become members | the first becomes the member |
//! | the same ones again, in any order | `update_no_rebuild` | by the first alone |
//! | an address twice | one member | one member |
//! | NXDOMAIN, or none of the family | success; the target's members **go** | failure; the member stays |
//! | SERVFAIL, REFUSED, no answer | failure; members stay | failure; the member stays |
//! | truncated | asked again over TCP | the same |
//!
//! A cluster is initialised by its first completed lookup, successful or not, of whichever target
//! comes first: [`FirstResolution`] waits for that, so that listeners open after it.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use front_proxy_layers::discover::{MemberSet, UpdateStats, dns::*};
//! # use front_proxy_layers::stats::Scope;
//! # async fn example(members: Arc<dyn MemberSet>) {
//! let resolver = Arc::new(DnsResolver::new(DnsResolverOptions::default()));
//! let stats = UpdateStats::new(&Scope::from_metrics().child("cluster").child("service1"));
//! let targets = vec![Target::new("service1", 8000)];
//! let discovery = StrictDns::new(targets, resolver, Settings::default(), stats);
//! let first = discovery.first_resolution();
//! let discovery = tokio::spawn(discovery.run(members)); // `abort()` ends it
//! first.wait().await;
//! # discovery.abort();
//! # }
//! ```

mod files;
mod logical;
mod lookup;
mod refresh;
mod resolver;
mod servers;
mod strict;

#[cfg(test)]
mod testing;

pub use super::FirstResolution;
pub use logical::LogicalDns;
pub use lookup::{Answer, LookupError, LookupFamily, Resolver};
pub use refresh::{FailureRefresh, Refresh};
pub use resolver::{DnsResolver, DnsResolverOptions};
pub use strict::StrictDns;

use std::net::IpAddr;
use std::sync::Arc;

use crate::discover::Checking;
use crate::discover::member::{AddressError, Locality, Member, Wanted};
use crate::health::HealthStatus;

/// How a cluster's names are looked up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// `dns_lookup_family`
    pub family: LookupFamily,
    /// When names are looked up again.
    pub refresh: Refresh,
}

/// A name to look up, and what the members found under it are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The name, or an IP address.
    pub host: Arc<str>,
    /// The port of every member.
    pub port: u16,
    /// The hostname of the members, where it is not `host`.
    pub hostname: Option<Arc<str>>,
    /// The weight of each member.
    pub weight: u32,
    /// Where the members are.
    pub locality: Option<Arc<Locality>>,
    /// Their priority.
    pub priority: u32,
    /// What is said of their health.
    pub status: HealthStatus,
    /// How they are to be checked, where that is special.
    pub checking: Option<Arc<Checking>>,
}

impl Target {
    /// A target of weight 1 and priority 0.
    pub fn new(host: impl Into<Arc<str>>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            hostname: None,
            weight: 1,
            locality: None,
            priority: 0,
            status: HealthStatus::Unknown,
            checking: None,
        }
    }

    fn member(&self, ip: IpAddr) -> Member {
        Member {
            address: (ip, self.port).into(),
            hostname: Arc::clone(self.hostname.as_ref().unwrap_or(&self.host)),
            weight: self.weight,
            locality: self.locality.clone(),
            priority: self.priority,
            status: self.status,
            checking: self.checking.clone(),
        }
    }
}

impl TryFrom<&str> for Target {
    type Error = AddressError;

    /// Of a name with a port, as `service1:8000`; an IP address in place of the name is taken as it is.
    fn try_from(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::new(text, Wanted::Name);
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_name = !host.is_empty() && !host.contains(['/', '@', ':', '[']);
        match port.parse() {
            Ok(port @ 1..) if v6.is_some() || is_name => Ok(Self::new(v6.unwrap_or(host), port)),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<&String> for Target {
    type Error = AddressError;

    fn try_from(text: &String) -> Result<Self, AddressError> {
        Self::try_from(text.as_str())
    }
}

impl TryFrom<String> for Target {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::try_from(text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_name_and_a_port() {
        for (text, host, port) in [
            ("service1:8000", "service1", 8000),
            ("service1.internal.:80", "service1.internal.", 80),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("[::1]:65535", "::1", 65535),
        ] {
            assert_eq!(Target::try_from(text), Ok(Target::new(host, port)), "{text}");
        }
        for text in
            ["service1", ":80", "service1:", "service1:0", "service1:65536", "a/b:80", "::1:80"]
        {
            let error = Target::try_from(text).expect_err(text);
            assert_eq!(error.to_string(), format!("`{text}` is not a host name with a port"));
        }
    }
}
