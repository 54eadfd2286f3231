//! Counting DNS lookups: `dns.cares.*`, under the name of the resolver that Envoy has for it.

use front_proxy_layers::discover::dns::{Answer, DnsResolver, LookupError, LookupFamily, Resolver};
use front_proxy_layers::stats::{Counter, Gauge, Scope};

/// A resolver whose lookups are counted.
#[derive(Debug)]
pub(super) struct CountedLookups {
    inner: DnsResolver,
    stats: DnsStats,
}

/// The counters.
struct DnsStats {
    resolve_total: Counter,
    pending_resolutions: Gauge,
    not_found: Counter,
    get_addr_failure: Counter,
    timeouts: Counter,
}

impl DnsStats {
    fn new(root: &Scope) -> Self {
        let scope = root.child("dns").child("cares");
        // Its sockets are made for each lookup: there is nothing to begin anew.
        drop(scope.counter("reinits"));
        Self {
            resolve_total: scope.counter("resolve_total"),
            pending_resolutions: scope.gauge("pending_resolutions"),
            not_found: scope.counter("not_found"),
            get_addr_failure: scope.counter("get_addr_failure"),
            timeouts: scope.counter("timeouts"),
        }
    }
}

impl std::fmt::Debug for DnsStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DnsStats").finish_non_exhaustive()
    }
}

impl CountedLookups {
    pub(super) fn new(inner: DnsResolver, root: &Scope) -> Self {
        Self { inner, stats: DnsStats::new(root) }
    }
}

impl Resolver for CountedLookups {
    async fn lookup(&self, name: &str, family: LookupFamily) -> Result<Answer, LookupError> {
        self.stats.resolve_total.increment(1);
        let pending = Pending::begin(&self.stats.pending_resolutions);
        let result = self.inner.lookup(name, family).await;
        drop(pending);
        match &result {
            Ok(_) => {}
            Err(LookupError::NotFound) => self.stats.not_found.increment(1),
            Err(LookupError::Failed { reason }) => {
                self.stats.get_addr_failure.increment(1);
                if reason.contains("timed out") {
                    self.stats.timeouts.increment(1);
                }
            }
        }
        result
    }
}

/// A lookup under way; the process may end in the middle of it.
struct Pending<'a>(&'a Gauge);

impl<'a> Pending<'a> {
    fn begin(gauge: &'a Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
