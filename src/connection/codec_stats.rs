//! What the codecs count, for all connections of the process: `http1.*` and `http2.*`.

use std::sync::{Arc, OnceLock};

use front_proxy_layers::http2::CodecStats;
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

/// The counters of HTTP/2 codecs. As in Envoy they are there from the first HTTP/2 connection on.
#[derive(Clone, Debug)]
pub(crate) struct Http2Stats {
    root: Scope,
    codec: OnceLock<Arc<CodecStats>>,
}

impl Http2Stats {
    pub(crate) fn new(root: &Scope) -> Self {
        Self { root: root.clone(), codec: OnceLock::new() }
    }

    pub(crate) fn codec(&self) -> &Arc<CodecStats> {
        self.codec.get_or_init(|| Arc::new(CodecStats::new(&self.root)))
    }
}
