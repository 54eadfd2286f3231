//! A cluster: endpoints that serve the same thing, and the service that sends requests to them.
//!
//! [`Cluster`] is a handle (clones are one and the same cluster); as a tower service it takes a
//! request to one of its endpoints:
//!
//! 1. the load balancer picks an endpoint ([`crate::balance`]);
//! 2. a kept connection is taken, or one is made ([`crate::endpoint`]);
//! 3. circuit breakers may refuse ([`Resources`]);
//! 4. the request is sent, and the response streams back in a body that holds on to the connection
//!    and all that is counted until its end.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use front_proxy_layers::body::Body;
//! use front_proxy_layers::cluster::Cluster;
//! use http::Request;
//! use tower::ServiceExt;
//!
//! let cluster = Cluster::builder("service1").endpoints(["127.0.0.1:8000", "127.0.0.2:8000"])?.build();
//! let request = Request::get("/service/1").header("host", "example.com").body(Body::empty())?;
//! let response = cluster.oneshot(request).await?;
//! assert!(response.status().is_success());
//! # Ok(()) }
//! ```

mod builder;
mod endpoint_set;
mod future;
mod keys;
mod membership;
mod permits;
mod priorities;
mod resources;
mod service;
mod source;
mod stats;
mod switch;
mod tries;
mod tunnel;
pub(crate) mod upstream_body;
mod upstream_request;

pub use builder::ClusterBuilder;
pub use future::ResponseFuture;
pub use priorities::HealthOptions;
pub use resources::{Limits, Resource, Resources};
pub use service::{AutoHost, BalanceHash, Priority};
pub use stats::ClusterStats;
pub use switch::ConnectTcp;
pub use tries::Tries;
pub use upstream_body::UpstreamBody;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::discover::Member;
use crate::endpoint::{Endpoint, Shared};
use crate::health_check::Checker;
use crate::outlier::{Averages, Detector};
use crate::stats::Counter;
use crate::stream_info::ClusterNames;
use crate::task::Task;

use endpoint_set::{Balancers, EndpointSet};
use keys::Keys;
#[cfg(feature = "retry")]
pub(crate) use keys::RetryKeys;

/// A handle on a cluster.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
    priority: Priority,
}

pub(crate) struct Inner {
    names: ClusterNames,
    stats: Arc<ClusterStats>,
    default: Arc<Resources>,
    high: Arc<Resources>,
    shared: Arc<Shared>,
    keys: Keys,
    balancers: Balancers,
    endpoints: ArcSwap<EndpointSet>,
    /// Updates of the membership and of health, one at a time.
    updating: std::sync::Mutex<()>,
    /// Told of each new set.
    changes: watch::Sender<()>,
    /// Its health checks, where there are any.
    checker: Option<Checker>,
    detector: Option<Detector>,
    /// Counts sets that replace another, once members are known and were checked.
    updated: Counter,
    settled: AtomicBool,
    /// There was a connection to one of its endpoints.
    used: AtomicBool,
    /// What ends with the cluster.
    tasks: OnceLock<Vec<Task>>,
    /// What keeps the membership up to date, where that is the cluster's own business.
    discoveries: OnceLock<Box<[source::Discovery]>>,
}

impl Cluster {
    /// A cluster of these endpoints, with defaults for everything: see
    /// [`ClusterBuilder::endpoints`].
    ///
    /// # Errors
    ///
    /// One of the texts is not an address with a port.
    pub fn new<A: TryInto<Member>>(
        name: impl Into<Arc<str>>,
        endpoints: impl IntoIterator<Item = A>,
    ) -> Result<Self, A::Error> {
        Self::builder(name).endpoints(endpoints).map(ClusterBuilder::build)
    }

    /// Begins a cluster of this name. Its endpoints are those that the builder is given, or those
    /// that [`MemberSet::update`] gives it later.
    ///
    /// [`MemberSet::update`]: crate::discover::MemberSet::update
    pub fn builder(name: impl Into<Arc<str>>) -> ClusterBuilder {
        ClusterBuilder::new(name.into())
    }

    /// Whether the two are handles on one cluster.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.names.raw
    }

    /// Its names, for what is said of requests that go to it.
    pub fn names(&self) -> &ClusterNames {
        &self.inner.names
    }

    /// Its counters.
    pub fn stats(&self) -> &Arc<ClusterStats> {
        &self.inner.stats
    }

    /// Its endpoints as of now, in the order in which they became members.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.inner.endpoints.load().all().to_vec()
    }

    /// How many of its endpoints are healthy, and how many there are.
    pub fn membership(&self) -> (usize, usize) {
        let endpoints = self.inner.endpoints.load();
        (endpoints.counts().healthy, endpoints.all().len())
    }

    /// Waits until each of the cluster's own discoveries has looked for members once, whatever it found,
    /// and until those that are members then were checked once, whatever came of it. At once where it
    /// has neither discovery nor health checks.
    pub async fn initialized(&self) {
        for discovery in self.inner.discoveries.get().into_iter().flatten() {
            discovery.initialized().await;
        }
        let mut changes = self.inner.changes.subscribe();
        let mut unchecked = self.endpoints();
        loop {
            unchecked.retain(|endpoint| endpoint.awaits_check());
            // The sender is in `self`.
            if unchecked.is_empty() || changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// The rates that outlier detection compares, where it is on.
    pub fn outlier_averages(&self) -> Option<Averages> {
        self.inner.detector.as_ref().map(Detector::averages)
    }

    /// The limits of a priority and what is taken of them.
    pub fn resources(&self, priority: Priority) -> &Resources {
        self.inner.resources(priority)
    }

    #[cfg(feature = "retry")]
    pub(crate) fn shared_resources(&self) -> &Arc<Resources> {
        self.inner.resources(self.priority)
    }

    #[cfg(feature = "retry")]
    pub(crate) fn retry_keys(&self) -> &RetryKeys {
        &self.inner.keys.retry
    }

    /// The same cluster, used with another priority's limits.
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}

impl Inner {
    pub(crate) fn name(&self) -> &str {
        &self.names.raw
    }

    pub(crate) fn detector(&self) -> Option<&Detector> {
        self.detector.as_ref()
    }

    pub(crate) fn checker(&self) -> Option<&Checker> {
        self.checker.as_ref()
    }

    /// Where a request would go.
    #[cfg(test)]
    pub(crate) fn pick_address(&self) -> Option<std::net::SocketAddr> {
        self.endpoints.load().pick(None, 0).endpoint.map(|endpoint| endpoint.address())
    }

    /// The endpoints as of now.
    pub(crate) fn all(&self) -> Vec<Arc<Endpoint>> {
        self.endpoints.load().all().to_vec()
    }

    /// Whether there ever was a connection to one of its endpoints.
    pub(crate) fn has_traffic(&self) -> bool {
        let used = || {
            let set = self.endpoints.load();
            set.all().iter().any(|endpoint| endpoint.stats().cx_total.load(Ordering::Relaxed) > 0)
        };
        let has = self.used.load(Ordering::Relaxed) || used();
        self.used.store(has, Ordering::Relaxed);
        has
    }

    fn resources(&self, priority: Priority) -> &Arc<Resources> {
        match priority {
            Priority::Default => &self.default,
            Priority::High => &self.high,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for endpoint in self.endpoints.load().all() {
            endpoint.close();
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.inner.names.raw)
            .field("endpoints", &self.inner.endpoints.load().all().len())
            .finish_non_exhaustive()
    }
}
