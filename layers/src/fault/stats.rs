use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::body::{Watch, Watched};
use crate::stats::{Counter, Gauge, Scope};

/// What faults are counted as: `<prefix>.fault.*`, under Envoy's names.
#[allow(missing_docs)] // Envoy's names
pub struct FaultStats {
    pub aborts_injected: Counter,
    pub delays_injected: Counter,
    pub faults_overflow: Counter,
    pub active_faults: Gauge,
    /// `active_faults` again: a gauge can't be read.
    active: AtomicU64,
}

impl FaultStats {
    /// Registers them in `scope`, which is `http.<prefix>` in a connection manager.
    pub fn new(scope: &Scope) -> Self {
        let scope = scope.child("fault");
        Self {
            aborts_injected: scope.counter("aborts_injected"),
            delays_injected: scope.counter("delays_injected"),
            faults_overflow: scope.counter("faults_overflow"),
            active_faults: scope.gauge("active_faults"),
            active: AtomicU64::new(0),
        }
    }

    /// One more fault, if there are fewer than `max`.
    pub(super) fn begin(self: &Arc<Self>, max: Option<u64>) -> Option<ActiveFault> {
        let admitted = self.active.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |active| {
            max.is_none_or(|max| active < max).then_some(active + 1)
        });
        if admitted.is_err() {
            self.faults_overflow.increment(1);
            return None;
        }
        self.active_faults.increment(1.0);
        Some(ActiveFault(Arc::clone(self)))
    }
}

impl fmt::Debug for FaultStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultStats").finish_non_exhaustive()
    }
}

/// A request that has met a fault, until its response has ended.
#[derive(Debug)]
pub struct ActiveFault(Arc<FaultStats>);

impl Drop for ActiveFault {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
        self.0.active_faults.decrement(1.0);
    }
}

/// A response body whose request may have met a fault.
pub type ResponseBody<B> = Watched<B, ActiveFault>;

impl<D, E> Watch<D, E> for ActiveFault {
    fn ended(self) {}

    fn failed(self, _: &E) -> Option<Self> {
        None
    }
}
