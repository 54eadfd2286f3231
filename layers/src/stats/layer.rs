use std::sync::Arc;

use tower_layer::Layer;

use super::{DownstreamStats, ListenerCodes, Stats};

/// Counts requests and responses; see the [module](super).
#[derive(Clone, Debug)]
pub struct StatsLayer {
    stats: Arc<DownstreamStats>,
    listener: Option<Arc<ListenerCodes>>,
}

impl StatsLayer {
    /// Counts into these.
    pub fn new(stats: impl Into<Arc<DownstreamStats>>) -> Self {
        Self { stats: stats.into(), listener: None }
    }

    /// Counts statuses there as well.
    #[must_use]
    pub fn listener(mut self, codes: Arc<ListenerCodes>) -> Self {
        self.listener = Some(codes);
        self
    }
}

impl<S> Layer<S> for StatsLayer {
    type Service = Stats<S>;

    fn layer(&self, inner: S) -> Stats<S> {
        Stats::new(inner, Arc::clone(&self.stats), self.listener.clone())
    }
}
