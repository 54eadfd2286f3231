use tower_layer::Layer;

use super::UpstreamTiming;

/// Adds `x-envoy-upstream-service-time` to responses; see the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct UpstreamTimingLayer(());

impl UpstreamTimingLayer {
    /// The layer. It has no options: where the header is not wanted, leave the layer out.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for UpstreamTimingLayer {
    type Service = UpstreamTiming<S>;

    fn layer(&self, inner: S) -> UpstreamTiming<S> {
        UpstreamTiming::new(inner)
    }
}
