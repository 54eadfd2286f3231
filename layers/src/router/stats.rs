use metrics::Counter;

use crate::stats::Scope;

/// What the router counts: `http.<prefix>.*`, under Envoy's names.
#[derive(Clone)]
#[allow(missing_docs)] // Envoy's names
pub struct RouterStats {
    pub no_cluster: Counter,
    pub no_route: Counter,
    pub rq_direct_response: Counter,
    pub rq_redirect: Counter,
    pub rq_total: Counter,
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
        }
    }
}

impl std::fmt::Debug for RouterStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouterStats").finish_non_exhaustive()
    }
}
