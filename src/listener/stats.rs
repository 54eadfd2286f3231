//! The counters of a listener: `listener.<address>.*`.

use std::sync::OnceLock;

use front_proxy_layers::stats::{Scope, Unit};
use metrics::{Counter, Gauge, Histogram};

/// Handles of what a listener counts, under Envoy's names.
pub(crate) struct ListenerStats {
    pub(crate) cx_total: Counter,
    pub(crate) cx_destroy: Counter,
    pub(crate) cx_overflow: Counter,
    pub(crate) cx_active: Gauge,
    pub(crate) cx_length_ms: Histogram,
    pub(crate) accepted_per_event: Histogram,
    pub(crate) no_filter_chain_match: Counter,
    pub(crate) workers: Vec<(Counter, Gauge)>,
    pub(crate) ssl: Option<SslStats>,
}

/// `listener.<address>.ssl.*`
pub(crate) struct SslStats {
    pub(crate) connection_error: Counter,
    pub(crate) handshake: Counter,
    pub(crate) no_certificate: Counter,
    pub(crate) session_reused: Counter,
    pub(crate) fail_verify_error: Counter,
    pub(crate) fail_verify_no_cert: Counter,
    tls12: OnceLock<Counter>,
    tls13: OnceLock<Counter>,
    scope: Scope,
}

impl ListenerStats {
    /// Registers them in `scope`, which is `listener.<address>`.
    pub(crate) fn new(scope: &Scope, workers: usize, tls: bool) -> Self {
        Self {
            cx_total: scope.counter("downstream_cx_total"),
            cx_destroy: scope.counter("downstream_cx_destroy"),
            cx_overflow: scope.counter("downstream_cx_overflow"),
            cx_active: scope.gauge("downstream_cx_active"),
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
            ssl: tls.then(|| SslStats::new(scope.child("ssl"))),
        }
    }
}

impl ListenerStats {
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

impl SslStats {
    fn new(scope: Scope) -> Self {
        Self {
            connection_error: scope.counter("connection_error"),
            handshake: scope.counter("handshake"),
            no_certificate: scope.counter("no_certificate"),
            session_reused: scope.counter("session_reused"),
            fail_verify_error: scope.counter("fail_verify_error"),
            fail_verify_no_cert: scope.counter("fail_verify_no_cert"),
            tls12: OnceLock::new(),
            tls13: OnceLock::new(),
            scope,
        }
    }

    /// Counts a finished handshake.
    pub(crate) fn handshake(&self, connection: &rustls::ServerConnection) {
        self.handshake.increment(1);
        if connection.peer_certificates().is_none() {
            self.no_certificate.increment(1);
        }
        if connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed) {
            self.session_reused.increment(1);
        }
        let (version, name) = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => (&self.tls12, "TLSv1.2"),
            Some(rustls::ProtocolVersion::TLSv1_3) => (&self.tls13, "TLSv1.3"),
            _ => return,
        };
        version
            .get_or_init(|| {
                let full = format!("versions.{name}");
                let name = self.scope.leaf_tagged(&full, "versions", "envoy_ssl_version", name);
                self.scope.sink().counter(&name)
            })
            .increment(1);
    }
}
