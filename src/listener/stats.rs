//! The counters of a listener: `listener.<address>.*`.

use front_proxy_layers::stats::{Scope, SslStats, Unit};
use metrics::{Counter, Gauge, Histogram};

/// Handles of what a listener counts, under Envoy's names.
pub(crate) struct ListenerStats {
    pub(crate) cx_total: Counter,
    pub(crate) cx_destroy: Counter,
    pub(crate) cx_overflow: Counter,
    pub(crate) cx_active: Gauge,
    pub(crate) cx_length_ms: Histogram,
    pub(crate) no_filter_chain_match: Counter,
    pub(crate) workers: Vec<(Counter, Gauge)>,
    /// `ssl.*`
    pub(crate) ssl: Option<SslStats>,
}

impl ListenerStats {
    /// Registers them in `scope`, which is `listener.<address>`.
    pub(crate) fn new(scope: &Scope, workers: usize, tls: bool) -> Self {
        // Envoy has these too; here connections never wait for a listener filter.
        drop(scope.gauge("downstream_pre_cx_active"));
        drop(scope.histogram("connections_accepted_per_socket_event", Unit::Unspecified));
        Self {
            cx_total: scope.counter("downstream_cx_total"),
            cx_destroy: scope.counter("downstream_cx_destroy"),
            cx_overflow: scope.counter("downstream_cx_overflow"),
            cx_active: scope.gauge("downstream_cx_active"),
            cx_length_ms: scope.histogram_ms("downstream_cx_length_ms"),
            no_filter_chain_match: scope.counter("no_filter_chain_match"),
            workers: (0..workers)
                .map(|index| {
                    let worker = scope.worker(index);
                    (worker.counter("downstream_cx_total"), worker.gauge("downstream_cx_active"))
                })
                .collect(),
            ssl: tls.then(|| SslStats::new(scope.child("ssl"))),
        }
    }
}

impl std::fmt::Debug for ListenerStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListenerStats").finish_non_exhaustive()
    }
}
