use tokio::time::Instant;

use super::service::Charge;
use crate::body::{Watch, Watched};
use crate::clock;
use crate::stats::millis;

/// A response body that records the request's time at its end.
pub type ResponseBody<B> = Watched<B, Charge>;

impl<D, E> Watch<D, E> for Charge {
    fn ended(self) {
        let began = match &self.progress {
            Some(progress) => progress.completed_at().map(Instant::from_std),
            None => Some(self.called),
        };
        let took = began.map(|began| clock::now().saturating_duration_since(began));
        self.stats.record_time(millis(took.unwrap_or_default()), self.internal);
    }

    /// It never completed: no time to record.
    fn failed(self, _: &E) -> Option<Self> {
        None
    }
}
