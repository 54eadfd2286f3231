//! Putting a cluster together.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::endpoint_set::{Balancers, EndpointSet};
use super::keys::{self, Keys};
use super::source::Source;
use super::{Cluster, ClusterStats, HealthOptions, Inner, Limits, Priority, Resources};
use crate::balance::{LoadBalancer, RoundRobin};
#[cfg(feature = "http2")]
use crate::endpoint::Protocol;
#[cfg(feature = "tls")]
use crate::endpoint::Tls;
use crate::endpoint::{ConnectionOptions, Connector, Shared};
use crate::health_check::{Checker, HealthCheck};
use crate::outlier::{Detector, Followed, OutlierDetection};
use crate::runtime::Runtime;
#[cfg(feature = "tls")]
use crate::stats::SslStats;
use crate::stats::{Counter, Scope};
use crate::stream_info::ClusterNames;

/// Builds a [`Cluster`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ClusterBuilder {
    name: Arc<str>,
    stat_name: Option<Arc<str>>,
    scope: Scope,
    pub(super) source: Source,
    options: ConnectionOptions,
    connector: Connector,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    balancer: Box<dyn LoadBalancer>,
    limits: Limits,
    high_limits: Limits,
    health: HealthOptions,
    check: Option<HealthCheck>,
    outlier: Option<OutlierDetection>,
    runtime: Runtime,
    shards: usize,
    updated: Counter,
}

impl ClusterBuilder {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            stat_name: None,
            scope: Scope::process(),
            source: Source::default(),
            options: ConnectionOptions::default(),
            connector: Connector::plain(),
            #[cfg(feature = "tls")]
            tls: None,
            balancer: Box::new(RoundRobin::default()),
            limits: Limits::default(),
            high_limits: Limits::default(),
            health: HealthOptions::default(),
            check: None,
            outlier: None,
            runtime: Runtime::new(),
            shards: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            updated: Counter::noop(),
        }
    }

    /// Where stats go: `cluster.<name>.*` below this scope. Default [`Scope::process`]: the `metrics`
    /// recorder of the process, which is nowhere as long as none is installed.
    pub fn stats(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// The name that stats go by, where it is not the cluster's (Envoy's `alt_stat_name`).
    pub fn stat_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.stat_name = Some(name.into());
        self
    }

    /// Protocol, timeouts and limits of connections.
    pub fn connections(mut self, options: ConnectionOptions) -> Self {
        self.options = options;
        self
    }

    /// Speaks HTTP/2 to the endpoints, over plain text with prior knowledge. Default HTTP/1.1.
    #[cfg(feature = "http2")]
    pub fn http2(mut self) -> Self {
        self.options.protocol = Protocol::Http2;
        self
    }

    /// How long a connection may take to be made. Default 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// How long a connection may lie idle; `None` is for ever. Default 1 h.
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.options.idle_timeout = timeout;
        self
    }

    /// Speaks TLS to the endpoints. Default plain text. What is agreed on by ALPN is the protocol of
    /// this cluster. No authority is trusted by default: [`Tls`] says who is.
    ///
    /// ```no_run
    /// use front_proxy_layers::cluster::Cluster;
    /// use front_proxy_layers::endpoint::Tls;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tls = Tls::trusting(&std::fs::read("/etc/ssl/certs/ca-certificates.crt")?)?;
    /// let tls = tls.server_name("service1.internal")?;
    /// let cluster = Cluster::builder("service1").endpoints(["10.0.0.1:443"])?.tls(tls).build();
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How connections are opened. Default plain TCP.
    pub fn connector(mut self, connector: Connector) -> Self {
        self.connector = connector;
        self
    }

    /// The load balancer. Default [`RoundRobin`].
    pub fn balancer(mut self, balancer: impl LoadBalancer) -> Self {
        self.balancer = Box::new(balancer);
        self
    }

    /// Circuit breaker limits of a priority.
    pub fn limits(mut self, priority: Priority, limits: Limits) -> Self {
        match priority {
            Priority::Default => self.limits = limits,
            Priority::High => self.high_limits = limits,
        }
        self
    }

    /// What the health of endpoints means for load balancing.
    pub fn health(mut self, options: HealthOptions) -> Self {
        self.health = options;
        self
    }

    /// Checks the endpoints; until its first check each counts as failed. Checks run on the tokio
    /// runtime on which the first members become known. Default none.
    pub fn health_check(mut self, check: HealthCheck) -> Self {
        self.check = Some(check);
        self
    }

    /// Leaves out for a while what fails its requests. That runs on the tokio runtime on which the
    /// first members become known. Default off.
    pub fn outlier_detection(mut self, settings: OutlierDetection) -> Self {
        self.outlier = Some(settings);
        self
    }

    /// Follows this runtime, by Envoy's names:
    ///
    /// | key | what it changes |
    /// |---|---|
    /// | `upstream.maintenance_mode.<cluster>` | percentage of requests that are answered 503 at once |
    /// | `upstream.healthy_panic_threshold` | [`HealthOptions::panic_threshold`] |
    /// | `circuit_breakers.<cluster>.<priority>.max_connections`, `max_pending_requests`, `max_requests`, `max_retries` | [`Limits`]; the priority is `default` or `high` |
    /// | `outlier_detection.*` | [`OutlierDetection`]; times are named `*_ms` |
    /// | `health_check.min_interval`, `health_check.max_interval` | bounds of all intervals, in milliseconds |
    /// | `health_check.verify_cluster` | percentage of checks whose answer is compared with the cluster's name |
    /// | `upstream.use_retry` | percentage of retries that take place |
    /// | `upstream.base_retry_backoff_ms` | the first back-off, where the policy has none |
    ///
    /// Default one that says nothing.
    ///
    /// ```
    /// use front_proxy_layers::cluster::{Cluster, Priority};
    /// use front_proxy_layers::runtime::{Runtime, RuntimeValue};
    ///
    /// let runtime = Runtime::new();
    /// let cluster = Cluster::builder("service1").runtime(&runtime).build();
    /// let limit = || cluster.resources(Priority::Default).requests.max();
    /// assert_eq!(limit(), 1024);
    /// runtime.replace([("circuit_breakers.service1.default.max_requests", RuntimeValue::from(5))]);
    /// assert_eq!(limit(), 5);
    /// ```
    pub fn runtime(mut self, runtime: &Runtime) -> Self {
        self.runtime = runtime.clone();
        self
    }

    /// Into how many shards connections are split: the number of workers. Default the number of
    /// processors.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards.max(1);
        self
    }

    /// What counts each change of a priority's members or of their health, from when the first members
    /// are known and were checked: Envoy's `cluster_manager.cluster_updated`. Default: nothing.
    pub fn updated(mut self, counter: Counter) -> Self {
        self.updated = counter;
        self
    }

    /// The cluster with the endpoints that were given, or with those to come.
    ///
    /// # Panics
    ///
    /// If its members are discovered, or are known and checked, or known and watched by outlier
    /// detection, and this is not called on a tokio runtime, where that is to run.
    pub fn build(self) -> Cluster {
        let stat_name = self.stat_name.unwrap_or_else(|| Arc::clone(&self.name));
        let scope = self.scope.child("cluster").tagged("envoy_cluster_name", &stat_name);
        let stats = Arc::new(ClusterStats::new(&scope));
        // Said once, be it 0, so that it shows where only what is in use is asked for.
        stats.warming_state.set(0.0);
        let breakers = scope.child("circuit_breakers");
        let default = Arc::new(Resources::new(&self.limits, &breakers.child("default")));
        let high = Arc::new(Resources::new(&self.high_limits, &breakers.child("high")));
        for (priority, limits, resources) in
            [("default", &self.limits, &default), ("high", &self.high_limits, &high)]
        {
            keys::follow_limits(&self.runtime, &self.name, priority, limits, resources);
        }
        #[cfg(feature = "tls")]
        let connector = match self.tls {
            Some(tls) => {
                let stats = SslStats::of_cluster(scope.child("ssl"));
                tls.connector(self.options.protocol, stats)
            }
            None => self.connector,
        };
        #[cfg(not(feature = "tls"))]
        let connector = self.connector;
        let balancers = Balancers::new(self.balancer);
        let empty = EndpointSet::new(Vec::new(), &balancers, &self.health);
        let outlier = self.outlier.map(|settings| Arc::new(Followed::new(settings)));
        let keys = Keys::new(&self.runtime, &self.name);
        let inner = Arc::new_cyclic(|cluster| Inner {
            names: ClusterNames { stat: stat_name, raw: self.name },
            shared: Arc::new(Shared {
                options: self.options,
                connector,
                stats: Arc::clone(&stats),
                // Connections serve both priorities; Envoy's pools are per priority, and so is
                // this limit. Routes of high priority are rare enough to share the default's.
                resources: Arc::clone(&default),
                health: self.health,
                checked: self.check.is_some(),
                outlier: outlier.clone(),
                cluster: Weak::clone(cluster),
                shards: self.shards,
            }),
            stats,
            default,
            high,
            keys,
            balancers,
            endpoints: ArcSwap::from_pointee(empty),
            updating: Mutex::new(()),
            changes: watch::Sender::new(()),
            checker: self.check.map(|check| Checker::new(check, &scope, &self.runtime)),
            detector: outlier.clone().map(|settings| Detector::new(settings, &scope)),
            updated: self.updated,
            settled: AtomicBool::new(false),
            used: AtomicBool::new(false),
            tasks: OnceLock::new(),
            discoveries: OnceLock::new(),
        });
        keys::follow(&self.runtime, &inner, outlier.as_ref());
        let cluster = Cluster { inner, priority: Priority::Default };
        self.source.start(&cluster, &scope);
        cluster
    }
}
