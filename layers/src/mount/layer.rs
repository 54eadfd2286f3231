use std::sync::Arc;

use tower_layer::Layer;

use super::Mount;

/// Tells layers further in what the app around them knows; see the [module](super).
#[derive(Clone, Debug, Default)]
pub struct MountLayer {
    /// What axum has taken from the path.
    pub(super) nested_at: Option<Arc<str>>,
    #[cfg(feature = "axum")]
    pub(super) connect_info: Option<super::axum::ConnectInfoPeer>,
    #[cfg(feature = "axum")]
    pub(super) original_uri: bool,
}

impl MountLayer {
    /// The layer. It tells nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts this before every path: what `nest_service` has taken away, so that routes match and the
    /// upstream gets the path that the client asked for, but for a `/` after it: see the
    /// [module](super).
    #[must_use]
    pub fn nested_at(mut self, path: impl AsRef<str>) -> Self {
        let path = path.as_ref().trim_end_matches('/');
        self.nested_at = (!path.is_empty()).then(|| path.into());
        self
    }
}

impl<S> Layer<S> for MountLayer {
    type Service = Mount<S>;

    fn layer(&self, inner: S) -> Mount<S> {
        Mount::new(inner, self.clone())
    }
}
