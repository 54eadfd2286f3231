use std::sync::Arc;

use tower_layer::Layer;

use super::{Fault, FaultSettings, FaultStats};
use crate::stats::Scope;

/// Lets requests meet faults; see the [module](super).
#[derive(Clone, Debug)]
pub struct FaultLayer {
    settings: Arc<FaultSettings>,
    stats: Arc<FaultStats>,
}

impl FaultLayer {
    /// These faults, counted nowhere.
    pub fn new(settings: FaultSettings) -> Self {
        let stats = Arc::new(FaultStats::new(&Scope::noop()));
        Self { settings: Arc::new(settings), stats }
    }

    /// Counts there. Layers with the same stats share the limit on active faults.
    #[must_use]
    pub fn stats(mut self, stats: Arc<FaultStats>) -> Self {
        self.stats = stats;
        self
    }
}

impl<S> Layer<S> for FaultLayer {
    type Service = Fault<S>;

    fn layer(&self, inner: S) -> Fault<S> {
        Fault::new(inner, Arc::clone(&self.settings), Arc::clone(&self.stats))
    }
}
