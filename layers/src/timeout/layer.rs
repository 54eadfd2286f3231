use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tower_layer::Layer;

use super::Timeout;
use crate::cluster::ClusterStats;

/// Bounds the time of upstream responses; see the [module](super).
#[derive(Clone, Debug)]
pub struct TimeoutLayer {
    pub(super) duration: Option<Duration>,
    /// `duration` as the header's value: made once.
    pub(super) announced: Option<HeaderValue>,
    pub(super) stats: Option<Arc<ClusterStats>>,
}

impl TimeoutLayer {
    /// After this long.
    pub fn new(duration: Duration) -> Self {
        Self::optional(Some(duration))
    }

    /// After this long, or never: Envoy's `timeout: 0s`.
    pub fn optional(duration: Option<Duration>) -> Self {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Self { duration, announced: duration.map(|d| HeaderValue::from(ms(d))), stats: None }
    }

    /// Counts `upstream_rq_timeout` there.
    #[must_use]
    pub fn stats(mut self, stats: Arc<ClusterStats>) -> Self {
        self.stats = Some(stats);
        self
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout::new(inner, self.clone())
    }
}
