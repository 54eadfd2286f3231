//! Rates of success over an interval, and what is too low.

use std::sync::atomic::Ordering;

use super::OutlierDetection;
use super::monitor::Tally;

/// The rates of success of all endpoints of a cluster, in percent. `None` before enough of them
/// had enough requests in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Averages {
    /// The mean.
    pub success_rate: Option<f64>,
    /// Below it an endpoint is ejected.
    pub success_rate_threshold: Option<f64>,
    /// The mean, as to failures on this side.
    pub local_origin_success_rate: Option<f64>,
    /// The threshold, as to failures on this side.
    pub local_origin_success_rate_threshold: Option<f64>,
}

/// The rates of one endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HostRates {
    /// All requests, and the successes, up to the latest interval.
    before: (u64, u64),
    /// In percent, and of how many requests, in the latest interval.
    latest: Option<(f64, u64)>,
    /// What is shown of it.
    pub(super) shown: Option<f64>,
}

impl HostRates {
    /// Ends an interval.
    pub(super) fn turn(&mut self, tally: &Tally) {
        let success = tally.success.load(Ordering::Relaxed);
        // Requests counted in between make it no larger than the total.
        let total = tally.total.load(Ordering::Relaxed).max(success);
        let (of, good) = (total - self.before.0, success - self.before.1);
        self.before = (total, success);
        self.latest = (of > 0).then(|| (good.min(of) as f64 * 100.0 / of as f64, of));
        self.shown = None;
    }

    /// The rate, if it is of so many requests.
    pub(super) fn of_volume(&self, volume: u32) -> Option<f64> {
        self.latest.filter(|(_, of)| *of >= u64::from(volume)).map(|(rate, _)| rate)
    }

    /// Shows the rate where there were enough requests for one of the two uses that it has.
    pub(super) fn show(&mut self, settings: &OutlierDetection) {
        let volume =
            settings.success_rate_request_volume.min(settings.failure_percentage_request_volume);
        self.shown = self.of_volume(volume);
    }
}

/// The mean of rates, and the threshold that lies some standard deviations below it.
pub(super) fn mean_and_threshold(rates: &[f64], factor: f64) -> (f64, f64) {
    let count = rates.len() as f64;
    let mean = rates.iter().sum::<f64>() / count;
    let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / count;
    (mean, mean - factor * variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_lies_below_the_mean() {
        let (mean, threshold) = mean_and_threshold(&[50.0, 100.0, 100.0, 100.0, 100.0], 1.9);
        assert!((mean - 90.0).abs() < 1e-9 && (threshold - 52.0).abs() < 1e-9);
        assert_eq!(mean_and_threshold(&[80.0, 80.0], 1.9), (80.0, 80.0));
    }

    #[test]
    fn rates_are_of_their_interval() {
        let tally = Tally::default();
        let mut rates = HostRates::default();
        rates.turn(&tally);
        assert_eq!(rates.of_volume(0), None, "no request is no rate");
        tally.total.store(10, Ordering::Relaxed);
        tally.success.store(5, Ordering::Relaxed);
        rates.turn(&tally);
        assert_eq!((rates.of_volume(10), rates.of_volume(11)), (Some(50.0), None));
        tally.total.store(14, Ordering::Relaxed);
        tally.success.store(9, Ordering::Relaxed);
        rates.turn(&tally);
        assert_eq!(rates.of_volume(4), Some(100.0));
    }
}
