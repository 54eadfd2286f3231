//! Members by name: a cluster with a discovery of its own.

use std::sync::{Arc, Weak};

use tokio::task::AbortHandle;

use crate::cluster::{Cluster, ClusterBuilder, Inner, Priority};
use crate::discover::dns::{
    DnsResolver, DnsResolverOptions, FirstResolution, Settings, StrictDns, Target,
};
use crate::discover::{Member, MemberSet, UpdateStats};
use crate::stats::Scope;

/// Names to look up, and how.
#[derive(Debug, Default)]
pub(super) struct Names {
    targets: Vec<Target>,
    resolver: DnsResolverOptions,
    settings: Settings,
}

impl ClusterBuilder {
    /// Adds whatever addresses this name has, each an endpoint with this port. The name is
    /// looked up again and again, and endpoints come and go with the answers (Envoy's
    /// `STRICT_DNS`); that ends with the last clone of the cluster. See
    /// [`Cluster::initialized`] for when the first answer is there.
    ///
    /// ```
    /// use front_proxy_layers::cluster::Cluster;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let cluster = Cluster::builder("service1").dns("localhost", 8000).http2().build();
    /// // Requests before the first answer get a 503: wait for it before you listen.
    /// cluster.initialized().await;
    /// assert!(!cluster.endpoints().is_empty());
    /// # }
    /// ```
    pub fn dns(mut self, host: impl Into<Arc<str>>, port: u16) -> Self {
        self.source.dns.targets.push(Target::new(host, port));
        self
    }

    /// Which resolver is asked. Default the system's.
    pub fn dns_resolver(mut self, options: DnsResolverOptions) -> Self {
        self.source.dns.resolver = options;
        self
    }

    /// Which kinds of addresses are asked for, and how often. Default every 5 s.
    pub fn dns_settings(mut self, settings: Settings) -> Self {
        self.source.dns.settings = settings;
        self
    }
}

impl Names {
    pub(super) fn is_some(&self) -> bool {
        !self.targets.is_empty()
    }

    pub(super) fn follow(self, fixed: Vec<Member>, cluster: &Cluster, scope: &Scope) {
        let resolver = Arc::new(DnsResolver::new(self.resolver));
        let discovery =
            StrictDns::new(self.targets, resolver, self.settings, UpdateStats::new(scope));
        let first = discovery.first_resolution();
        // Weak: the lookups must not be what keeps the cluster alive.
        let sink = Followed { cluster: Arc::downgrade(&cluster.inner), fixed };
        if !sink.fixed.is_empty() {
            cluster.update(sink.fixed.clone());
        }
        let task = tokio::spawn(discovery.run(sink)).abort_handle();
        _ = cluster.inner.discovery.set(Discovery { first, task });
    }
}

/// Lookups under way; they end when this is dropped.
#[derive(Debug)]
pub(in crate::cluster) struct Discovery {
    first: FirstResolution,
    task: AbortHandle,
}

impl Discovery {
    pub(in crate::cluster) async fn initialized(&self) {
        self.first.clone().wait().await;
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Followed {
    cluster: Weak<Inner>,
    /// Members by address, beside those by name.
    fixed: Vec<Member>,
}

impl MemberSet for Followed {
    fn update(&self, members: Vec<Member>) -> bool {
        let Some(inner) = self.cluster.upgrade() else { return false };
        let cluster = Cluster { inner, priority: Priority::Default };
        cluster.update(self.fixed.iter().cloned().chain(members).collect())
    }
}
