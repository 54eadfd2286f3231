use std::sync::Arc;

use tower_layer::Layer;

use super::UpstreamStats;
use crate::cluster::ClusterStats;

/// Counts what came of each request to a cluster; see the [module](super).
#[derive(Clone, Debug)]
pub struct UpstreamStatsLayer {
    stats: Arc<ClusterStats>,
}

impl UpstreamStatsLayer {
    /// Counts into these.
    pub fn new(stats: Arc<ClusterStats>) -> Self {
        Self { stats }
    }
}

impl<S> Layer<S> for UpstreamStatsLayer {
    type Service = UpstreamStats<S>;

    fn layer(&self, inner: S) -> UpstreamStats<S> {
        UpstreamStats::new(inner, Arc::clone(&self.stats))
    }
}
