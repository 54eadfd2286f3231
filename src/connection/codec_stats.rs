//! What the HTTP/1 codec counts, for all connections of the process: `http1.*`.

use front_proxy_layers::stats::{Counter, Scope};

/// Handles under Envoy's names.
#[derive(Clone, Debug)]
pub(crate) struct Http1Stats {
    pub(crate) dropped_headers_with_underscores: Counter,
    pub(crate) requests_rejected_with_underscores_in_headers: Counter,
}

impl Http1Stats {
    /// Registers them below `root`.
    pub(crate) fn new(root: &Scope) -> Self {
        let scope = root.child("http1");
        Self {
            dropped_headers_with_underscores: scope.counter("dropped_headers_with_underscores"),
            requests_rejected_with_underscores_in_headers: scope
                .counter("requests_rejected_with_underscores_in_headers"),
        }
    }
}
