use crate::stats::{Counter, Gauge, Scope};

/// What the router counts: `http.<prefix>.*`, under Envoy's names.
#[derive(Clone)]
#[allow(missing_docs)] // Envoy's names
pub struct RouterStats {
    pub no_cluster: Counter,
    pub no_route: Counter,
    pub rq_direct_response: Counter,
    pub rq_redirect: Counter,
    pub rq_total: Counter,
    pub downstream_cx_upgrades_active: Gauge,
    pub downstream_cx_upgrades_total: Counter,
    pub downstream_rq_ws_on_non_ws_route: Counter,
}

impl RouterStats {
    /// Registers them in `scope`, which is `http.<prefix>`.
    pub fn new(scope: &Scope) -> Self {
        Self {
            no_cluster: scope.counter("no_cluster"),
            no_route: scope.counter("no_route"),
            rq_direct_response: scope.counter("rq_direct_response"),
            rq_redirect: scope.counter("rq_redirect"),
            rq_total: scope.counter("rq_total"),
            downstream_cx_upgrades_active: scope.gauge("downstream_cx_upgrades_active"),
            downstream_cx_upgrades_total: scope.counter("downstream_cx_upgrades_total"),
            downstream_rq_ws_on_non_ws_route: scope.counter("downstream_rq_ws_on_non_ws_route"),
        }
    }
}

impl std::fmt::Debug for RouterStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouterStats").finish_non_exhaustive()
    }
}
