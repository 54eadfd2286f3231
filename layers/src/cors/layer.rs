use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::{Cors, CorsPolicy};
use crate::stats::{Counter, Scope};

/// Tells browsers what pages of other origins may do; see the [module](super).
#[derive(Clone, Debug)]
pub struct CorsLayer {
    policy: Arc<CorsPolicy>,
    stats: Arc<CorsStats>,
}

impl CorsLayer {
    /// By this policy, counting nothing.
    pub fn new(policy: CorsPolicy) -> Self {
        Self { policy: Arc::new(policy), stats: Arc::new(CorsStats::new(&Scope::noop())) }
    }

    /// Counts there.
    #[must_use]
    pub fn stats(mut self, stats: Arc<CorsStats>) -> Self {
        self.stats = stats;
        self
    }
}

impl<S> Layer<S> for CorsLayer {
    type Service = Cors<S>;

    fn layer(&self, inner: S) -> Cors<S> {
        Cors::new(inner, Arc::clone(&self.policy), Arc::clone(&self.stats))
    }
}

/// What is counted: `<prefix>.cors.*`, under Envoy's names.
#[allow(missing_docs)] // Envoy's names
pub struct CorsStats {
    pub origin_valid: Counter,
    pub origin_invalid: Counter,
}

impl CorsStats {
    /// Registers them in `scope`, which is `http.<prefix>` in a connection manager.
    pub fn new(scope: &Scope) -> Self {
        let scope = scope.child("cors");
        Self {
            origin_valid: scope.counter("origin_valid"),
            origin_invalid: scope.counter("origin_invalid"),
        }
    }
}

impl fmt::Debug for CorsStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CorsStats").finish_non_exhaustive()
    }
}
