//! The counters of a listener: `listener.<address>.*`.

use std::sync::Arc;

use front_proxy_layers::stats::{Counter, Gauge, Histogram, Scope, SslStats, Unit};

/// Handles of what a listener counts, under Envoy's names.
pub(crate) struct ListenerStats {
    pub(crate) cx_total: Counter,
    pub(crate) cx_destroy: Counter,
    pub(crate) cx_overflow: Counter,
    pub(crate) cx_active: Gauge,
    pub(crate) pre_cx_active: Gauge,
    pub(crate) cx_length_ms: Histogram,
    pub(crate) accepted_per_event: Histogram,
    pub(crate) no_filter_chain_match: Counter,
    pub(crate) workers: Vec<(Counter, Gauge)>,
    /// `ssl.*`
    pub(crate) ssl: Option<Arc<SslStats>>,
}

impl ListenerStats {
    /// Registers them in `scope`, which is `listener.<address>`.
    pub(crate) fn new(scope: &Scope, workers: usize, tls: bool) -> Self {
        Self {
            cx_total: scope.counter("downstream_cx_total"),
            cx_destroy: scope.counter("downstream_cx_destroy"),
            cx_overflow: scope.counter("downstream_cx_overflow"),
            cx_active: scope.gauge("downstream_cx_active"),
            pre_cx_active: scope.gauge("downstream_pre_cx_active"),
            cx_length_ms: scope.histogram_ms("downstream_cx_length_ms"),
            accepted_per_event: scope
                .histogram("connections_accepted_per_socket_event", Unit::Unspecified),
            no_filter_chain_match: scope.counter("no_filter_chain_match"),
            workers: (0..workers)
                .map(|index| {
                    let worker = scope.worker(index);
                    (worker.counter("downstream_cx_total"), worker.gauge("downstream_cx_active"))
                })
                .collect(),
            ssl: tls.then(|| Arc::new(SslStats::of_listener(scope.child("ssl")))),
        }
    }
}

impl ListenerStats {
    /// A connection came. Envoy has it wait for listener filters, of which there are none here.
    pub(crate) fn accepted(&self) {
        self.cx_total.increment(1);
        self.cx_active.increment(1.0);
        self.pre_cx_active.increment(0.0);
    }

    /// Those of a listener that the main thread serves: the admin's.
    pub(crate) fn of_main_thread(scope: &Scope) -> Self {
        let thread = scope.child("main_thread");
        let counted = (thread.counter("downstream_cx_total"), thread.gauge("downstream_cx_active"));
        Self { workers: vec![counted], ..Self::new(scope, 0, false) }
    }
}

impl std::fmt::Debug for ListenerStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListenerStats").finish_non_exhaustive()
    }
}
