//! What one endpoint does with its requests.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::Followed;
use super::rates::HostRates;
use super::stats::Kind;
use crate::lock::lock;

/// How a request went, as far as its endpoint is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer with this status.
    Status(u16),
    /// There is a connection for it.
    Connected,
    /// A connection could not be made, or broke.
    Broken,
    /// There was no answer in time.
    TimedOut,
}

/// The counters of an endpoint. They are all that requests touch.
#[derive(Debug)]
pub(crate) struct Monitor {
    split: bool,
    settings: Arc<Followed>,
    in_a_row: InARow,
    pub(super) external: Tally,
    pub(super) local: Tally,
    pub(super) state: Mutex<HostState>,
}

/// Failures in a row.
#[derive(Debug, Default)]
struct InARow {
    any: AtomicU32,
    gateway: AtomicU32,
    local: AtomicU32,
}

/// Requests, and those of them that succeeded.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) total: AtomicU64,
    pub(super) success: AtomicU64,
}

/// What the detector remembers of an endpoint.
#[derive(Debug, Default)]
pub(super) struct HostState {
    pub(super) ejected: Option<tokio::time::Instant>,
    pub(super) returned: Option<tokio::time::Instant>,
    /// How many times the base time the next ejection lasts, less one.
    pub(super) backoff: u32,
    pub(super) jitter: std::time::Duration,
    pub(super) external: HostRates,
    pub(super) local: HostRates,
}

/// What one outcome too many says. There are two at most.
pub(super) type Suspicions = [Option<Kind>; 2];

impl Monitor {
    pub(crate) fn new(settings: &Arc<Followed>) -> Self {
        Self {
            split: settings.load().split_local_origin,
            settings: Arc::clone(settings),
            in_a_row: InARow::default(),
            external: Tally::default(),
            local: Tally::default(),
            state: Mutex::default(),
        }
    }

    /// The rates to be shown, as to all failures and to those on this side.
    pub(crate) fn rates(&self) -> (Option<f64>, Option<f64>) {
        let state = lock(&self.state);
        (state.external.shown, state.local.shown)
    }

    /// Counts. What comes back is nearly always nothing.
    pub(super) fn count(&self, outcome: Outcome) -> Suspicions {
        match (outcome, self.split) {
            (Outcome::Status(status), _) => self.status(status),
            (Outcome::Connected, false) => [None, None],
            (Outcome::Broken, false) => self.status(503),
            (Outcome::TimedOut, false) => self.status(504),
            (Outcome::Connected, true) => {
                self.local.success();
                forget(&self.in_a_row.local);
                [None, None]
            }
            (Outcome::Broken | Outcome::TimedOut, true) => {
                self.local.failure();
                let limit = self.settings.load().consecutive_local_origin_failure;
                let reached = reaches(&self.in_a_row.local, limit);
                [reached.then_some(Kind::ConsecutiveLocalOriginFailure), None]
            }
        }
    }

    fn status(&self, status: u16) -> Suspicions {
        if status < 500 {
            self.external.success();
            forget(&self.in_a_row.any);
            forget(&self.in_a_row.gateway);
            return [None, None];
        }
        self.external.failure();
        let limits = self.settings.load();
        let gateway = match status {
            502..=504 => reaches(&self.in_a_row.gateway, limits.consecutive_gateway_failure),
            _ => {
                forget(&self.in_a_row.gateway);
                false
            }
        };
        let any = reaches(&self.in_a_row.any, limits.consecutive_5xx);
        [gateway.then_some(Kind::ConsecutiveGatewayFailure), any.then_some(Kind::Consecutive5xx)]
    }

    /// Starts counting anew, for one kind of failures.
    pub(super) fn reset(&self, kind: Kind) {
        match kind {
            Kind::Consecutive5xx => forget(&self.in_a_row.any),
            Kind::ConsecutiveGatewayFailure => forget(&self.in_a_row.gateway),
            Kind::ConsecutiveLocalOriginFailure => forget(&self.in_a_row.local),
            _ => {}
        }
    }

    /// Starts counting anew: an endpoint that is back is not sent off again for what was before.
    pub(super) fn reset_all(&self) {
        forget(&self.in_a_row.any);
        forget(&self.in_a_row.gateway);
        forget(&self.in_a_row.local);
    }
}

impl Tally {
    fn success(&self) {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.success.fetch_add(1, Ordering::Relaxed);
    }

    fn failure(&self) {
        self.total.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts one more; true for the one that reaches the limit. (One that is set lower than what was
/// counted by then is not reached before it is counted anew, as in Envoy.)
fn reaches(count: &AtomicU32, limit: u32) -> bool {
    count.fetch_add(1, Ordering::Relaxed).wrapping_add(1) == limit
}

/// Writes only where there is something to forget: workers share the line.
fn forget(count: &AtomicU32) {
    if count.load(Ordering::Relaxed) != 0 {
        count.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outlier::OutlierDetection;

    fn of(settings: OutlierDetection) -> Monitor {
        Monitor::new(&Arc::new(Followed::new(settings)))
    }

    fn monitor(split: bool) -> Monitor {
        of(OutlierDetection {
            consecutive_5xx: 3,
            consecutive_gateway_failure: 2,
            consecutive_local_origin_failure: 2,
            split_local_origin: split,
            ..OutlierDetection::default()
        })
    }

    fn found(monitor: &Monitor, outcomes: &[Outcome]) -> Vec<Kind> {
        outcomes.iter().flat_map(|outcome| monitor.count(*outcome)).flatten().collect()
    }

    use Outcome::{Broken, Connected, Status, TimedOut};

    #[test]
    fn failures_in_a_row_are_found_once() {
        let all = [Status(500); 7];
        assert_eq!(found(&monitor(false), &all), [Kind::Consecutive5xx]);
        let mixed = [Status(500), Status(501), Status(404), Status(500), Status(500)];
        assert_eq!(found(&monitor(false), &mixed), [], "a 404 is an answer");
    }

    #[test]
    fn gateway_failures_are_of_both_kinds() {
        let gateway = [Status(502), Status(503), Status(504)];
        let kinds = [Kind::ConsecutiveGatewayFailure, Kind::Consecutive5xx];
        assert_eq!(found(&monitor(false), &gateway), kinds);
        let apart = [Status(503), Status(500), Status(503)];
        assert_eq!(found(&monitor(false), &apart), [Kind::Consecutive5xx]);
    }

    #[test]
    fn local_failures_count_as_gateway_failures() {
        let local = [Broken, Connected, TimedOut];
        assert_eq!(found(&monitor(false), &local), [Kind::ConsecutiveGatewayFailure]);
    }

    #[test]
    fn or_apart() {
        assert_eq!(
            found(&monitor(true), &[Broken, Broken, Broken]),
            [Kind::ConsecutiveLocalOriginFailure]
        );
        let connected = [Broken, Connected, Broken, Status(503), Connected, Status(503)];
        assert_eq!(found(&monitor(true), &connected), [Kind::ConsecutiveGatewayFailure]);
    }

    #[test]
    fn a_limit_of_none_is_never_reached() {
        let settings = OutlierDetection { consecutive_5xx: 0, ..OutlierDetection::default() };
        assert_eq!(found(&of(settings), &[Status(500); 4]), []);
    }
}
