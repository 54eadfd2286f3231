//! How names of a cluster are resolved.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::decode::any::typed_config;
use crate::config::decode::shared::{host_port_of, ip_or_report};
use crate::config::message::{Message, Variants};
use crate::config::model::{Dns, DnsFamily};
use crate::config::schema::bootstrap::TYPED_EXTENSION;
use crate::config::schema::cluster::{CARES_RESOLVER, DNS_RESOLVER_OPTIONS, GETADDRINFO_RESOLVER};

const FAMILIES: &Variants<DnsFamily> = &[
    ("AUTO", 0, Some(DnsFamily::Auto)),
    ("V4_ONLY", 1, Some(DnsFamily::V4Only)),
    ("V6_ONLY", 2, Some(DnsFamily::V6Only)),
    ("V4_PREFERRED", 3, Some(DnsFamily::V4Preferred)),
    ("ALL", 4, Some(DnsFamily::All)),
];

const DEFAULT_REFRESH: Duration = Duration::from_secs(5);

/// `typed_dns_resolver_config`
#[derive(Clone, Debug, Default)]
pub(super) struct Resolver {
    servers: Vec<SocketAddr>,
    use_tcp: bool,
    no_search: bool,
}

/// The DNS settings of a cluster; `default` is the bootstrap's resolver.
pub(super) fn dns(m: &Message<'_>, default: &Resolver) -> Dns {
    let resolver = resolver(m, "typed_dns_resolver_config").unwrap_or_else(|| default.clone());
    let refresh_rate = m.duration("dns_refresh_rate");
    if let (Some(rate), Some(node)) = (refresh_rate, m.get("dns_refresh_rate"))
        && rate <= Duration::from_millis(1)
    {
        m.cx.error(&node.span, "`dns_refresh_rate` must be more than 0.001s");
    }
    Dns {
        refresh_rate: refresh_rate.unwrap_or(DEFAULT_REFRESH),
        respect_ttl: m.bool("respect_dns_ttl"),
        family: m.enumeration("dns_lookup_family", FAMILIES).unwrap_or_default(),
        resolvers: resolver.servers,
        // The cluster's own field is the older of the two; either asks for TCP.
        use_tcp: resolver.use_tcp || m.bool("use_tcp_for_dns_lookups"),
        no_search: resolver.no_search,
    }
}

/// A resolver in a field, where given.
pub(super) fn resolver(m: &Message<'_>, field: &str) -> Option<Resolver> {
    let extension = m.message(field, &TYPED_EXTENSION)?;
    let accepted = [&CARES_RESOLVER, &GETADDRINFO_RESOLVER];
    let found = typed_config(&extension, "a DNS resolver", &accepted);
    extension.finish();
    let found = found?;
    let config = found.message;
    if found.schema.message == GETADDRINFO_RESOLVER.message {
        config.finish();
        return Some(Resolver::default());
    }
    let mut out = Resolver {
        servers: config
            .list("resolvers")
            .into_iter()
            .filter_map(|n| host_port_of(config.cx, n))
            .filter_map(|address| ip_or_report(config.cx, &address))
            .collect(),
        ..Resolver::default()
    };
    if let Some(options) = config.message("dns_resolver_options", &DNS_RESOLVER_OPTIONS) {
        out.use_tcp = options.bool("use_tcp_for_dns_lookups");
        out.no_search = options.bool("no_default_search_domain");
        options.finish();
    }
    config.finish();
    Some(out)
}
