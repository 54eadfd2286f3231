use std::sync::Arc;

use tower_layer::Layer;

use super::Retry;
use crate::cluster::{Cluster, ClusterStats, Limits, Resources, RetryKeys};
use crate::route::RetryPolicy;
use crate::runtime::Runtime;
use crate::stats::Scope;

/// Tries requests again; see the [module](super).
#[derive(Clone, Debug)]
pub struct RetryLayer {
    /// `None` where nothing can make a request be tried again, nor asks to have tries counted.
    pub(super) options: Option<Arc<Options>>,
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) policy: RetryPolicy,
    pub(super) client_controls: bool,
    pub(super) announce: bool,
    pub(super) request_attempt_count: bool,
    pub(super) response_attempt_count: bool,
    pub(super) buffer_limit: usize,
    pub(super) stats: Arc<ClusterStats>,
    pub(super) resources: Arc<Resources>,
    pub(super) keys: RetryKeys,
}

impl RetryLayer {
    /// By this policy, with up to three retries in flight at a time.
    pub fn new(policy: RetryPolicy) -> Self {
        let nowhere = Scope::noop();
        Self {
            options: Some(Arc::new(Options {
                policy,
                client_controls: false,
                announce: true,
                request_attempt_count: false,
                response_attempt_count: false,
                buffer_limit: 1 << 20,
                stats: Arc::new(ClusterStats::new(&nowhere)),
                resources: Arc::new(Resources::new(&Limits::default(), &nowhere)),
                keys: RetryKeys::new(&Runtime::new()),
            })),
        }
    }

    /// Never.
    pub fn disabled() -> Self {
        Self { options: None }
    }

    /// With the circuit breaker, the counters and the runtime of this cluster.
    #[must_use]
    pub fn cluster(self, cluster: &Cluster) -> Self {
        self.set(|options| {
            options.stats = Arc::clone(cluster.stats());
            options.resources = Arc::clone(cluster.shared_resources());
            options.keys = cluster.retry_keys().clone();
        })
    }

    /// Lets requests ask for retries themselves, with `x-envoy-retry-on` and its like. Something
    /// further out must have taken these headers from clients who may not
    /// ([`forwarded`](crate::forwarded)). Default `false`.
    #[must_use]
    pub fn client_controls(self, allowed: bool) -> Self {
        self.set(|options| options.client_controls = allowed)
    }

    /// Whether the upstream is told how long it has for a try, in
    /// `x-envoy-expected-rq-timeout-ms`. Default `true`.
    #[must_use]
    pub fn announce(self, announce: bool) -> Self {
        self.set(|options| options.announce = announce)
    }

    /// Tells the upstream which try it sees, in `x-envoy-attempt-count`. Default `false`.
    #[must_use]
    pub fn request_attempt_count(self, tell: bool) -> Self {
        self.set(|options| options.request_attempt_count = tell)
    }

    /// Tells the client how many tries there were, in `x-envoy-attempt-count`. Default `false`.
    #[must_use]
    pub fn response_attempt_count(self, tell: bool) -> Self {
        self.set(|options| options.response_attempt_count = tell)
    }

    /// How many bytes of a request body are kept for another try. Default 1 MiB.
    #[must_use]
    pub fn buffer_limit(self, bytes: usize) -> Self {
        self.set(|options| options.buffer_limit = bytes)
    }

    fn set(mut self, change: impl FnOnce(&mut Options)) -> Self {
        if let Some(options) = &mut self.options {
            change(Arc::make_mut(options));
        }
        self
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry::new(inner, self.options.clone())
    }
}
