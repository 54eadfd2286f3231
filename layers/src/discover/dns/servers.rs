//! The DNS servers to ask, which one first, and the names to ask for.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf;

use super::lookup::Half;
use super::{Answer, DnsResolverOptions, LookupError, LookupFamily};

/// The servers and search domains of one state of `resolv.conf`.
#[derive(Debug)]
pub(super) struct Servers {
    servers: Vec<Server>,
    search: Vec<Name>,
    ndots: usize,
}

#[derive(Debug)]
struct Server {
    address: String,
    /// One resolver a server, so that the order of servers is ours: asked together, as hickory
    /// would, a public server's quick NXDOMAIN would beat an internal one's addresses.
    resolver: Result<TokioResolver, NetError>,
    failures_in_a_row: AtomicU32,
}

impl Servers {
    pub(super) fn new(options: &DnsResolverOptions) -> Self {
        let system = system_conf::read_system_conf();
        let configs = if options.resolvers.is_empty() {
            let of_system = system.as_ref().map(|(config, _)| config.name_servers());
            match of_system {
                Ok(servers) if !servers.is_empty() => {
                    let mut servers = servers.to_vec();
                    if options.use_tcp {
                        servers.iter_mut().for_each(over_tcp_only);
                    }
                    servers
                }
                // c-ares asks this machine where the system names no server.
                _ => vec![server_at((Ipv4Addr::LOCALHOST, 53).into(), options.use_tcp)],
            }
        } else {
            options.resolvers.iter().map(|address| server_at(*address, options.use_tcp)).collect()
        };
        let (mut search, mut ndots) = (Vec::new(), 1);
        if let (false, Ok((config, opts))) = (options.no_search, &system) {
            search.extend(config.search().iter().cloned());
            if search.is_empty() {
                search.extend(config.domain().cloned());
            }
            ndots = opts.ndots;
        }
        Self {
            servers: configs
                .into_iter()
                .map(|config| Server::new(config, options.timeout))
                .collect(),
            search,
            ndots,
        }
    }

    /// Asks for `name`, with the search domains where they apply.
    pub(super) async fn lookup(&self, name: &str, family: LookupFamily) -> Half {
        let names = candidates(name, &self.search, self.ndots).map_err(LookupError::failed)?;
        let mut outcome = Err(LookupError::NotFound);
        for name in names {
            let single_label = name.num_labels() <= 1;
            match self.both_families(name, family).await {
                Ok(answer) => return Ok(answer),
                Err(LookupError::NotFound) => {}
                // Some local resolvers answer SERVFAIL or REFUSED for names without a dot. As
                // c-ares does, go on; but then "not found" may not be said in the end.
                Err(failed) if single_label => outcome = Err(failed),
                // Going on after a failure could turn "don't know" into "doesn't exist".
                Err(failed) => return Err(failed),
            }
        }
        outcome
    }

    async fn both_families(&self, name: Name, family: LookupFamily) -> Half {
        let v4 = async {
            match family.wants_v4() {
                true => self.records(&name, RecordType::A).await,
                false => Err(LookupError::NotFound),
            }
        };
        let v6 = async {
            match family.wants_v6() {
                true => self.records(&name, RecordType::AAAA).await,
                false => Err(LookupError::NotFound),
            }
        };
        let (v4, v6) = tokio::join!(v4, v6);
        family.choose(v4, v6)
    }

    /// Asks one server after the other: in the order given, those that failed last after the rest.
    async fn records(&self, name: &Name, kind: RecordType) -> Half {
        let mut order: Vec<_> = self.servers.iter().collect();
        order.sort_by_key(|server| server.failures_in_a_row.load(Ordering::Relaxed));
        let mut last = LookupError::failed("no DNS server is configured");
        for server in order {
            match server.records(name, kind).await {
                Err(failed @ LookupError::Failed { .. }) => last = failed,
                answer => return answer,
            }
        }
        Err(last)
    }
}

impl Server {
    fn new(config: NameServerConfig, timeout: Duration) -> Self {
        let address = config.ip.to_string();
        let mut builder = TokioResolver::builder_with_config(
            ResolverConfig::from_name_servers(vec![config]),
            TokioRuntimeProvider::default(),
        );
        *builder.options_mut() = lookup_options(timeout);
        Self { address, resolver: builder.build(), failures_in_a_row: AtomicU32::new(0) }
    }

    async fn records(&self, name: &Name, kind: RecordType) -> Half {
        let result = match &self.resolver {
            Ok(resolver) => resolver.lookup(name.clone(), kind).await,
            Err(error) => Err(error.clone()),
        };
        let half = match result {
            Ok(lookup) => {
                let records = lookup.answers();
                let ttl = records.iter().map(|record| record.ttl).min().unwrap_or(0);
                Ok(Answer {
                    addresses: records.iter().filter_map(|r| r.data.ip_addr()).collect(),
                    ttl: Duration::from_secs(ttl.into()),
                })
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(_))) => Err(LookupError::NotFound),
            Err(error) => Err(LookupError::failed(format_args!("{}: {error}", self.address))),
        };
        match half {
            Err(LookupError::Failed { .. }) => {
                self.failures_in_a_row.fetch_add(1, Ordering::Relaxed);
            }
            _ => self.failures_in_a_row.store(0, Ordering::Relaxed),
        }
        half
    }
}

fn server_at(address: SocketAddr, tcp_only: bool) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut config.connections {
        connection.port = address.port();
    }
    if tcp_only {
        over_tcp_only(&mut config);
    }
    config
}

fn over_tcp_only(config: &mut NameServerConfig) {
    config.connections.retain(|connection| connection.protocol == ProtocolConfig::Tcp);
}

fn lookup_options(timeout: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    // Nothing is kept: names are looked up when their refresh says so, which may be well below the
    // TTL, and "no such name" must not outlive the answer that said so.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = timeout;
    options.attempts = 1;
    options
}

/// The fully qualified names to ask for, in order, by the rules of `resolv.conf`.
fn candidates(
    name: &str,
    search: &[Name],
    ndots: usize,
) -> Result<Vec<Name>, hickory_resolver::proto::ProtoError> {
    let parsed = Name::from_str_relaxed(name)?;
    if parsed.is_fqdn() {
        return Ok(vec![parsed]);
    }
    let mut as_is = parsed.clone();
    as_is.set_fqdn(true);
    let mut names: Vec<_> = search
        .iter()
        // A domain that makes the name too long is no candidate.
        .filter_map(|domain| parsed.clone().append_domain(domain).ok())
        .collect();
    let dots = name.matches('.').count();
    names.insert(if dots >= ndots { 0 } else { names.len() }, as_is);
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_domains_go_by_dots() {
        let search = [Name::from_ascii("a.test").unwrap(), Name::from_ascii("b.test").unwrap()];
        let names = |name, ndots| -> Vec<String> {
            candidates(name, &search, ndots).unwrap().iter().map(Name::to_string).collect()
        };
        assert_eq!(names("db", 1), ["db.a.test.", "db.b.test.", "db."]);
        assert_eq!(names("db.x", 1), ["db.x.", "db.x.a.test.", "db.x.b.test."]);
        assert_eq!(names("db.x", 2), ["db.x.a.test.", "db.x.b.test.", "db.x."]);
        assert_eq!(names("db.", 5), ["db."]);
        assert_eq!(names("my_db.x", 1)[0], "my_db.x.");
    }
}
