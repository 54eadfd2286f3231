//! Who is ejected, and when they come back.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::monitor::{HostState, Monitor, Outcome, Suspicions};
use super::rates::{HostRates, mean_and_threshold};
use super::stats::{Kind, OutlierStats};
use super::{Averages, Followed};
use crate::cluster::Inner;
use crate::endpoint::Endpoint;
use crate::health::HealthFlag;
use crate::lock::lock;
use crate::stats::Scope;

/// The outlier detection of a cluster.
#[derive(Debug)]
pub(crate) struct Detector {
    settings: Arc<Followed>,
    stats: OutlierStats,
    averages: Mutex<Averages>,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug)]
enum Origin {
    External,
    Local,
}

impl Origin {
    fn rates(self, state: &mut HostState) -> &mut HostRates {
        match self {
            Self::External => &mut state.external,
            Self::Local => &mut state.local,
        }
    }
}

impl Detector {
    /// `scope` names the cluster.
    pub(crate) fn new(settings: Arc<Followed>, scope: &Scope) -> Self {
        Self { settings, stats: OutlierStats::new(scope), averages: Mutex::default() }
    }

    pub(crate) fn averages(&self) -> Averages {
        *lock(&self.averages)
    }

    /// Shows how many of these endpoints are ejected.
    pub(crate) fn count(&self, endpoints: &[Arc<Endpoint>]) {
        self.stats.active.set(ejected(endpoints) as f64);
    }

    /// Counts what became of a request.
    #[inline]
    pub(crate) fn report(endpoint: &Arc<Endpoint>, outcome: Outcome) {
        if let Some(monitor) = endpoint.monitor() {
            let suspicions = monitor.count(outcome);
            if suspicions != [None, None] {
                Self::suspect(endpoint, monitor, suspicions);
            }
        }
    }

    #[cold]
    fn suspect(endpoint: &Arc<Endpoint>, monitor: &Monitor, suspicions: Suspicions) {
        let Some(cluster) = endpoint.shared().cluster.upgrade() else { return };
        let Some(detector) = cluster.detector() else { return };
        for kind in suspicions.into_iter().flatten() {
            let mut gone = false;
            cluster.review(|all| {
                let member = all.iter().any(|other| Arc::ptr_eq(other, endpoint));
                if !member || is_ejected(endpoint) {
                    return false;
                }
                detector.stats.detected(kind);
                gone = detector.eject(all, endpoint, kind);
                monitor.reset(kind);
                gone
            });
            if gone {
                endpoint.drain();
            }
        }
    }

    /// Ejects an endpoint, if there is room for one more and the dice say so.
    fn eject(&self, all: &[Arc<Endpoint>], endpoint: &Endpoint, kind: Kind) -> bool {
        let settings = self.settings.load();
        let Some(monitor) = endpoint.monitor() else { return false };
        let before = ejected(all);
        let percent = 100.0 * (before + 1) as f64 / all.len().max(1) as f64;
        let room = percent <= f64::from(settings.max_ejection_percent.min(100));
        if !(room || settings.always_eject_one && before == 0) {
            self.stats.overflow.increment(1);
            return false;
        }
        self.stats.allowed(kind);
        if fastrand::u32(..100) >= self.enforcing(kind) {
            return false;
        }
        self.stats.enforced(kind);
        endpoint.flags().set(HealthFlag::FailedOutlierCheck);
        let mut state = lock(&monitor.state);
        state.ejected = Some(Instant::now());
        state.jitter = settings.max_ejection_time_jitter.mul_f64(fastrand::f64());
        let (base, longest) = (settings.base_ejection_time, settings.longest());
        if base.saturating_mul(state.backoff) < longest.saturating_add(base) {
            state.backoff += 1;
        }
        tracing::debug!(endpoint = %endpoint.address(), why = kind.as_str(), "ejected");
        true
    }

    fn enforcing(&self, kind: Kind) -> u32 {
        let settings = self.settings.load();
        match kind {
            Kind::Consecutive5xx => settings.enforcing_consecutive_5xx,
            Kind::ConsecutiveGatewayFailure => settings.enforcing_consecutive_gateway_failure,
            Kind::ConsecutiveLocalOriginFailure => {
                settings.enforcing_consecutive_local_origin_failure
            }
            Kind::SuccessRate => settings.enforcing_success_rate,
            Kind::LocalOriginSuccessRate => settings.enforcing_local_origin_success_rate,
            Kind::FailurePercentage => settings.enforcing_failure_percentage,
            Kind::LocalOriginFailurePercentage => {
                settings.enforcing_failure_percentage_local_origin
            }
        }
    }

    /// A health check succeeded: that may end an ejection.
    pub(crate) fn passed(&self, cluster: &Inner, endpoint: &Endpoint) {
        if self.settings.load().health_check_ends_ejection && is_ejected(endpoint) {
            cluster.review(|_| {
                let ejected = is_ejected(endpoint);
                if ejected {
                    restore(endpoint);
                }
                ejected
            });
        }
    }

    /// Looks at the endpoints again and again, until the cluster is gone.
    pub(crate) async fn run(cluster: Weak<Inner>, mut interval: Duration) {
        loop {
            sleep(interval).await;
            let Some(cluster) = cluster.upgrade() else { return };
            let Some(detector) = cluster.detector() else { return };
            detector.turn(&cluster);
            interval = detector.settings.load().interval;
        }
    }

    /// Ends an interval.
    fn turn(&self, cluster: &Inner) {
        let now = Instant::now();
        let mut gone = Vec::new();
        cluster.review(|all| {
            let mut changed = false;
            for (endpoint, monitor) in monitored(all) {
                if is_ejected(endpoint) && self.has_served(monitor, now) {
                    restore(endpoint);
                    changed = true;
                }
                let mut state = lock(&monitor.state);
                state.external.turn(&monitor.external);
                state.local.turn(&monitor.local);
            }
            gone.extend(self.eject_by_rates(all, Origin::External));
            gone.extend(self.eject_by_rates(all, Origin::Local));
            for (endpoint, monitor) in monitored(all) {
                self.forgive(endpoint, monitor, now);
            }
            changed || !gone.is_empty()
        });
        for endpoint in gone {
            endpoint.drain();
        }
    }

    /// Whether an ejection has lasted long enough.
    fn has_served(&self, monitor: &Monitor, now: Instant) -> bool {
        let state = lock(&monitor.state);
        let settings = self.settings.load();
        let time = settings.base_ejection_time.saturating_mul(state.backoff);
        let time = time.min(settings.longest()).saturating_add(state.jitter);
        state.ejected.is_some_and(|at| now.saturating_duration_since(at) >= time)
    }

    /// A whole interval without an ejection shortens the next one.
    fn forgive(&self, endpoint: &Endpoint, monitor: &Monitor, now: Instant) {
        let interval = self.settings.load().interval;
        let mut state = lock(&monitor.state);
        let long_back =
            state.returned.is_some_and(|at| now.saturating_duration_since(at) >= interval);
        if !is_ejected(endpoint) && long_back {
            state.backoff = state.backoff.saturating_sub(1);
        }
    }

    /// Ejects those whose rates are too low. Returns who they are.
    fn eject_by_rates(&self, all: &[Arc<Endpoint>], origin: Origin) -> Vec<Arc<Endpoint>> {
        let settings = self.settings.load();
        let mut gone = Vec::new();
        self.set_averages(origin, None);
        let few = |minimum: u32| all.len() < minimum as usize;
        if few(settings.success_rate_minimum_hosts)
            && few(settings.failure_percentage_minimum_hosts)
        {
            return gone;
        }
        let (mut by_rate, mut by_percentage) = (Vec::new(), Vec::new());
        for (endpoint, monitor) in monitored(all).filter(|(endpoint, _)| !is_ejected(endpoint)) {
            let mut state = lock(&monitor.state);
            let rates = origin.rates(&mut state);
            rates.show(&settings);
            let rate = |volume| rates.of_volume(volume).map(|rate| (endpoint, rate));
            by_rate.extend(rate(settings.success_rate_request_volume));
            by_percentage.extend(rate(settings.failure_percentage_request_volume));
        }
        let enough = |of: &[_], minimum: u32| !of.is_empty() && of.len() >= minimum as usize;
        let (rate_kind, percentage_kind) = match origin {
            Origin::External => (Kind::SuccessRate, Kind::FailurePercentage),
            Origin::Local => (Kind::LocalOriginSuccessRate, Kind::LocalOriginFailurePercentage),
        };
        let mut found = Vec::new();
        if enough(&by_rate, settings.success_rate_minimum_hosts) {
            let rates: Vec<f64> = by_rate.iter().map(|(_, rate)| *rate).collect();
            let factor = f64::from(settings.success_rate_stdev_factor) / 1000.0;
            let (mean, threshold) = mean_and_threshold(&rates, factor);
            self.set_averages(origin, Some((mean, threshold)));
            let low = by_rate.iter().filter(|(_, rate)| *rate < threshold);
            found.extend(low.map(|(endpoint, _)| (*endpoint, rate_kind)));
        }
        if enough(&by_percentage, settings.failure_percentage_minimum_hosts) {
            let most = f64::from(settings.failure_percentage_threshold);
            let high = by_percentage.iter().filter(|(_, rate)| 100.0 - rate >= most);
            found.extend(high.map(|(endpoint, _)| (*endpoint, percentage_kind)));
        }
        for (endpoint, kind) in found {
            self.stats.detected(kind);
            // It may have been found twice.
            if !is_ejected(endpoint) && self.eject(all, endpoint, kind) {
                gone.push(Arc::clone(endpoint));
            }
        }
        gone
    }

    fn set_averages(&self, origin: Origin, found: Option<(f64, f64)>) {
        let mut averages = lock(&self.averages);
        let (mean, threshold) = found.unzip();
        match origin {
            Origin::External => {
                averages.success_rate = mean;
                averages.success_rate_threshold = threshold;
            }
            Origin::Local => {
                averages.local_origin_success_rate = mean;
                averages.local_origin_success_rate_threshold = threshold;
            }
        }
    }
}

fn monitored(all: &[Arc<Endpoint>]) -> impl Iterator<Item = (&Arc<Endpoint>, &Monitor)> {
    all.iter().filter_map(|endpoint| endpoint.monitor().map(|monitor| (endpoint, monitor)))
}

fn is_ejected(endpoint: &Endpoint) -> bool {
    endpoint.health().contains(HealthFlag::FailedOutlierCheck)
}

fn ejected(all: &[Arc<Endpoint>]) -> usize {
    all.iter().filter(|endpoint| is_ejected(endpoint)).count()
}

/// Ends an ejection.
fn restore(endpoint: &Endpoint) {
    endpoint.flags().clear(HealthFlag::FailedOutlierCheck);
    if let Some(monitor) = endpoint.monitor() {
        monitor.reset_all();
        lock(&monitor.state).returned = Some(Instant::now());
    }
    tracing::debug!(endpoint = %endpoint.address(), "back");
}

#[cfg(test)]
mod tests;
