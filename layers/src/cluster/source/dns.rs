//! Members by name: a cluster with a discovery of its own.

use std::sync::Arc;

use super::{Running, Start};
use crate::cluster::ClusterBuilder;
use crate::discover::UpdateStats;
use crate::discover::dns::{DnsResolver, DnsResolverOptions, Settings, StrictDns, Target};
use crate::stats::Scope;

/// Names to look up, and how.
#[derive(Debug, Default)]
pub(super) struct Names {
    targets: Vec<Target>,
    resolver: DnsResolverOptions,
    settings: Settings,
}

impl ClusterBuilder {
    /// Adds whatever addresses a name has, each an endpoint: a text as `service1:8000`, or a
    /// [`Target`], of which more can be said. The name is looked up again and again, and endpoints
    /// come and go with the answers (Envoy's `STRICT_DNS`); that ends with the last clone of the
    /// cluster. See [`Cluster::initialized`] for when the first answer is there.
    ///
    /// ```
    /// use front_proxy_layers::cluster::Cluster;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = Cluster::builder("service1").dns("localhost:8000")?.http2().build();
    /// // Requests before the first answer get a 503: wait for it before you listen.
    /// cluster.initialized().await;
    /// assert!(!cluster.endpoints().is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// The text is not a name with a port.
    ///
    /// [`Cluster::initialized`]: crate::cluster::Cluster::initialized
    pub fn dns<T: TryInto<Target>>(mut self, name: T) -> Result<Self, T::Error> {
        self.source.dns.targets.push(name.try_into()?);
        Ok(self)
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
    /// What looks the names up, where there are any. It counts for itself.
    pub(super) fn discovery(&mut self, scope: &Scope) -> Option<Start> {
        let Self { targets, resolver, settings } = std::mem::take(self);
        if targets.is_empty() {
            return None;
        }
        let resolver = Arc::new(DnsResolver::new(resolver));
        let discovery = StrictDns::new(targets, resolver, settings, UpdateStats::new(scope));
        Some(Start(Box::new(|members| -> Running { Box::pin(discovery.run(members)) })))
    }
}
