use tower_layer::Layer;

use super::UpstreamTiming;

/// Adds `x-envoy-upstream-service-time` to responses; see the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct UpstreamTimingLayer {
    silent: bool,
}

impl UpstreamTimingLayer {
    /// The layer.
    pub const fn new() -> Self {
        Self { silent: false }
    }

    /// Does nothing after all, where Envoy's own headers are not wanted. Default `false`.
    #[must_use]
    pub const fn silent(mut self, silent: bool) -> Self {
        self.silent = silent;
        self
    }
}

impl<S> Layer<S> for UpstreamTimingLayer {
    type Service = UpstreamTiming<S>;

    fn layer(&self, inner: S) -> UpstreamTiming<S> {
        UpstreamTiming::new(inner).silent(self.silent)
    }
}
