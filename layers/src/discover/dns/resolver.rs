//! The resolver that the system and the given servers make up.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hickory_resolver::Hosts;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};

use super::files::Watched;
use super::lookup::Half;
use super::servers::Servers;
use super::{Answer, LookupError, LookupFamily, Resolver};

/// How names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsResolverOptions {
    /// The DNS servers, asked in this order. Empty: the system's, from `/etc/resolv.conf`.
    pub resolvers: Vec<SocketAddr>,
    /// `use_tcp_for_dns_lookups`: ask the given servers over TCP only. Else UDP is used, and TCP
    /// when an answer was truncated.
    pub use_tcp: bool,
    /// `no_default_search_domain`: names are asked for as they are. Else the search domains of
    /// `/etc/resolv.conf` apply, also with servers given.
    pub no_search: bool,
    /// How long a server has for an answer; it is asked twice. Default 5 s.
    pub timeout: Duration,
    /// Where names are looked up first. Default `/etc/hosts`. Envoy 1.40 reads it too, even where
    /// servers are given.
    pub hosts_file: PathBuf,
}

impl Default for DnsResolverOptions {
    fn default() -> Self {
        Self {
            resolvers: Vec::new(),
            use_tcp: false,
            no_search: false,
            timeout: Duration::from_secs(5),
            hosts_file: PathBuf::from("/etc/hosts"),
        }
    }
}

/// Looks names up: IP addresses as they are, then the hosts file, `localhost`, then DNS.
///
/// Nothing is cached, so every lookup sees the present. The hosts file and `/etc/resolv.conf` are
/// read again when they have changed. Clusters with the same options can share one.
#[derive(Debug)]
pub struct DnsResolver {
    options: DnsResolverOptions,
    hosts: Watched<Hosts>,
    servers: Watched<Servers>,
}

impl DnsResolver {
    /// Nothing is opened or read before the first lookup, which must run on a tokio runtime.
    pub fn new(options: DnsResolverOptions) -> Self {
        Self {
            hosts: Watched::new(options.hosts_file.clone()),
            servers: Watched::new(PathBuf::from("/etc/resolv.conf")),
            options,
        }
    }

    fn in_hosts_file(&self, name: &str, family: LookupFamily) -> Half {
        let hosts = self.hosts.load(read_hosts);
        let Ok(name) = Name::from_str_relaxed(name) else {
            return Err(LookupError::NotFound);
        };
        let of = |kind| {
            let query = Query::query(name.clone(), kind);
            let lookup = hosts.lookup_static_host(&query).ok_or(LookupError::NotFound)?;
            Ok(Answer {
                addresses: lookup.answers().iter().filter_map(|r| r.data.ip_addr()).collect(),
                ttl: Duration::ZERO,
            })
        };
        family.choose(of(RecordType::A), of(RecordType::AAAA))
    }
}

impl Resolver for DnsResolver {
    async fn lookup(&self, name: &str, family: LookupFamily) -> Result<Answer, LookupError> {
        if let Ok(ip) = name.parse::<IpAddr>() {
            return family.literal(ip);
        }
        if let Ok(answer) = self.in_hosts_file(name, family) {
            return Ok(answer);
        }
        if is_localhost(name) {
            return family.loopback();
        }
        let servers = self.servers.load(|_| Servers::new(&self.options));
        servers.lookup(name, family).await
    }
}

/// A file that isn't there, or not readable, is an empty one.
fn read_hosts(path: &Path) -> Hosts {
    let mut hosts = Hosts::default();
    match File::open(path).and_then(|file| hosts.read_hosts_conf(file)) {
        Ok(()) => {}
        Err(error) => tracing::debug!(path = %path.display(), %error, "no hosts file"),
    }
    hosts
}

/// RFC 6761 section 6.3: such names are never asked for.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit_once('.').map_or(name, |(_, last)| last);
    last.eq_ignore_ascii_case("localhost")
}
