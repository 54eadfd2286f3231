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
mod permits;
mod resources;
mod service;
mod source;
mod stats;
mod switch;
mod tries;
mod tunnel;
pub(crate) mod upstream_body;

pub use builder::ClusterBuilder;
pub use future::ResponseFuture;
pub use resources::{Limits, Resource, Resources};
pub use service::{AutoHost, BalanceHash, Priority};
pub use stats::ClusterStats;
pub use switch::ConnectTcp;
pub use tries::Tries;
pub use upstream_body::UpstreamBody;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::balance::LoadBalancer;
use crate::discover::Member;
use crate::endpoint::{Endpoint, Shared};
use crate::stream_info::ClusterNames;

use endpoint_set::EndpointSet;

/// A handle on a cluster.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
    priority: Priority,
}

struct Inner {
    names: ClusterNames,
    stats: Arc<ClusterStats>,
    default: Arc<Resources>,
    high: Arc<Resources>,
    shared: Arc<Shared>,
    balancer: Box<dyn LoadBalancer>,
    endpoints: ArcSwap<EndpointSet>,
    /// Updates of the membership, one at a time.
    updating: std::sync::Mutex<()>,
    /// What keeps the membership up to date, where that is the cluster's own business.
    discoveries: std::sync::OnceLock<Box<[source::Discovery]>>,
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

    /// Waits until each of the cluster's own discoveries has looked for members once, whatever it found. At
    /// once where it has none.
    pub async fn initialized(&self) {
        for discovery in self.inner.discoveries.get().into_iter().flatten() {
            discovery.initialized().await;
        }
    }

    /// The limits of a priority and what is taken of them.
    pub fn resources(&self, priority: Priority) -> &Resources {
        self.inner.resources(priority)
    }

    pub(crate) fn shared_resources(&self) -> &Arc<Resources> {
        self.inner.resources(self.priority)
    }

    /// The same cluster, used with another priority's limits.
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}

impl Inner {
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
