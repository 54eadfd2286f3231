use std::sync::Arc;

use tower_layer::Layer;

use super::Buffer;
use crate::stats::DownstreamStats;

/// Lets requests through when they are complete; see the [module](super).
#[derive(Clone, Debug)]
pub struct BufferLayer {
    max_bytes: u64,
    stats: Option<Arc<DownstreamStats>>,
}

impl BufferLayer {
    /// Requests whose bodies have at most so many bytes (`max_request_bytes`).
    pub fn new(max_bytes: u64) -> Self {
        Self { max_bytes, stats: None }
    }

    /// Counts `downstream_rq_too_large` there.
    #[must_use]
    pub fn downstream_stats(mut self, stats: Arc<DownstreamStats>) -> Self {
        self.stats = Some(stats);
        self
    }
}

impl<S> Layer<S> for BufferLayer {
    type Service = Buffer<S>;

    fn layer(&self, inner: S) -> Buffer<S> {
        Buffer::new(inner, self.max_bytes, self.stats.clone())
    }
}
