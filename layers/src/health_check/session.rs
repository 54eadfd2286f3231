//! The checks of one endpoint, and what they make of it.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Weak};

use tokio::time::{sleep, timeout};

use super::client::Dialer;
#[cfg(feature = "http2")]
use super::grpc::GrpcSession;
use super::http::HttpSession;
use super::keys::Keys;
use super::stats::CheckStats;
use super::tcp::TcpSession;
use super::{HealthCheck, Probe};
use crate::cluster::Inner;
use crate::endpoint::{ConnectError, Endpoint};
use crate::health::HealthFlag;

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Healthy,
    Degraded,
    Failed {
        /// It counts as a lost connection does.
        retriable: bool,
        /// The endpoint asks to be left out altogether.
        exclude: bool,
        why: String,
    },
}

/// There was no answer.
#[derive(Debug)]
pub(super) enum CheckError {
    Connect(ConnectError),
    Network(Box<dyn Error + Send + Sync>),
    Timeout,
}

/// Looks after one endpoint for as long as it is a member.
#[derive(Debug)]
pub(super) struct Session {
    cluster: Weak<Inner>,
    dialer: Dialer,
    keys: Arc<Keys>,
    asking: Asking,
    judge: Judge,
}

#[derive(Debug)]
enum Asking {
    Http(HttpSession),
    Tcp(TcpSession),
    #[cfg(feature = "http2")]
    Grpc(GrpcSession),
}

impl Session {
    pub(super) fn new(
        cluster: &Arc<Inner>,
        dialer: Dialer,
        check: &Arc<HealthCheck>,
        keys: &Arc<Keys>,
        stats: &CheckStats,
    ) -> Self {
        let name = cluster.name();
        let asking = match &check.probe {
            Probe::Http(probe) => Asking::Http(HttpSession::new(probe.clone(), &dialer, name)),
            Probe::Tcp(probe) => Asking::Tcp(TcpSession::new(probe.clone())),
            #[cfg(feature = "http2")]
            Probe::Grpc(probe) => Asking::Grpc(GrpcSession::new(probe.clone(), &dialer, name)),
        };
        let judge = Judge {
            check: Arc::clone(check),
            stats: stats.clone(),
            endpoint: Arc::clone(dialer.endpoint()),
            good: 0,
            bad: 0,
            first: true,
        };
        Self { cluster: Arc::downgrade(cluster), dialer, keys: Arc::clone(keys), asking, judge }
    }

    pub(super) async fn run(mut self) {
        sleep(self.judge.check.first()).await;
        loop {
            let outcome = self.ask().await;
            let next = {
                let Some(cluster) = self.cluster.upgrade() else { return };
                let verdict = self.judge.judge(outcome);
                if verdict.failed {
                    self.judge.endpoint.drain();
                }
                if verdict.changed {
                    cluster.refresh();
                } else if verdict.first {
                    cluster.announce();
                }
                if verdict.well
                    && !self.judge.endpoint.health().contains(HealthFlag::FailedActiveHc)
                    && let Some(detector) = cluster.detector()
                {
                    detector.passed(&cluster, &self.judge.endpoint);
                }
                let Verdict { well, short, .. } = verdict;
                self.keys.bound(self.judge.check.next(cluster.has_traffic(), well, short))
            };
            sleep(next).await;
        }
    }

    async fn ask(&mut self) -> Result<Finding, CheckError> {
        let (check, stats) = (&self.judge.check, &self.judge.stats);
        stats.attempt.increment(1);
        let (dialer, reuse) = (&self.dialer, check.reuse_connection);
        let verify = self.keys.verifies_cluster();
        let asking = async {
            match &mut self.asking {
                Asking::Http(session) => session.check(dialer, reuse, verify).await,
                Asking::Tcp(session) => session.check(dialer, reuse).await,
                #[cfg(feature = "http2")]
                Asking::Grpc(session) => session.check(dialer, reuse).await,
            }
        };
        let outcome = timeout(check.timeout, asking).await.unwrap_or(Err(CheckError::Timeout));
        if let Asking::Http(session) = &self.asking
            && verify
            && session.verifies_cluster()
            && matches!(outcome, Ok(Finding::Healthy | Finding::Degraded))
        {
            stats.verify_cluster.increment(1);
        }
        outcome
    }
}

/// Counts what was found and sets the flags that follow.
#[derive(Debug)]
struct Judge {
    check: Arc<HealthCheck>,
    stats: CheckStats,
    endpoint: Arc<Endpoint>,
    /// Successes since it failed.
    good: u32,
    /// Failures since the last success.
    bad: u32,
    first: bool,
}

/// What follows from a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Verdict {
    well: bool,
    /// One more of the same, or some more, will change something.
    short: bool,
    /// Load balancing has to know.
    changed: bool,
    /// It has failed by this.
    failed: bool,
    first: bool,
}

impl Judge {
    fn judge(&mut self, outcome: Result<Finding, CheckError>) -> Verdict {
        let mut verdict = match outcome {
            Ok(Finding::Healthy) => self.success(false),
            Ok(Finding::Degraded) => self.success(true),
            Ok(Finding::Failed { retriable, exclude, why }) => {
                let flags = self.endpoint.flags();
                let excluded = exclude && flags.set(HealthFlag::ExcludedViaImmediateHcFail);
                let verdict = self.failure(retriable, false, &why);
                Verdict { changed: verdict.changed || excluded, ..verdict }
            }
            Err(error) => {
                self.stats.network_failure.increment(1);
                let timed_out = matches!(error, CheckError::Timeout);
                self.failure(true, timed_out, &error)
            }
        };
        verdict.first = std::mem::take(&mut self.first);
        if verdict.first {
            self.endpoint.set_checked();
        }
        verdict
    }

    fn success(&mut self, degraded: bool) -> Verdict {
        let flags = self.endpoint.flags();
        let mut verdict = Verdict { well: true, ..Verdict::default() };
        self.bad = 0;
        if flags.load().contains(HealthFlag::FailedActiveHc) {
            self.good += 1;
            // The first check decides at once, so that a start need not wait for more.
            if self.first || self.good >= self.check.healthy_threshold {
                self.good = 0;
                flags.clear(HealthFlag::ActiveHcTimeout);
                flags.clear(HealthFlag::ExcludedViaImmediateHcFail);
                flags.clear(HealthFlag::FailedActiveHc);
                verdict.changed = true;
                tracing::debug!(endpoint = %self.endpoint.address(), "healthy");
            } else {
                verdict.short = true;
            }
        }
        self.clear_pending(&mut verdict);
        verdict.changed |= match degraded {
            true => flags.set(HealthFlag::DegradedActiveHc),
            false => flags.clear(HealthFlag::DegradedActiveHc),
        };
        self.stats.success.increment(1);
        verdict
    }

    /// A failure that is `retriable` counts up to the threshold, any other is one too many.
    fn failure(&mut self, retriable: bool, timed_out: bool, why: &dyn fmt::Display) -> Verdict {
        let flags = self.endpoint.flags();
        let mut verdict = Verdict::default();
        self.good = 0;
        if !flags.load().contains(HealthFlag::FailedActiveHc) {
            self.bad += 1;
            if !retriable || self.bad >= self.check.unhealthy_threshold {
                flags.set(HealthFlag::FailedActiveHc);
                verdict.changed = true;
                verdict.failed = true;
                tracing::debug!(endpoint = %self.endpoint.address(), %why, "unhealthy");
            } else {
                verdict.short = true;
            }
        }
        if self.check.always_log_failures {
            tracing::warn!(endpoint = %self.endpoint.address(), %why, "health check failed");
        }
        if timed_out && flags.load().contains(HealthFlag::FailedActiveHc) {
            flags.set(HealthFlag::ActiveHcTimeout);
        } else {
            flags.clear(HealthFlag::ActiveHcTimeout);
        }
        self.clear_pending(&mut verdict);
        self.stats.failure.increment(1);
        verdict
    }

    fn clear_pending(&self, verdict: &mut Verdict) {
        if self.endpoint.flags().clear(HealthFlag::PendingActiveHc) {
            verdict.changed = true;
            verdict.short = false;
        }
    }
}

impl From<ConnectError> for CheckError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

impl From<hyper::Error> for CheckError {
    fn from(error: hyper::Error) -> Self {
        Self::Network(error.into())
    }
}

impl From<io::Error> for CheckError {
    fn from(error: io::Error) -> Self {
        Self::Network(error.into())
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Network(error) => error.fmt(f),
            Self::Timeout => f.write_str("no answer in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Cluster;
    use crate::health::HealthFlags;
    use crate::health_check::TcpProbe;
    use crate::stats::Scope;

    /// A judge of an endpoint that is new, and its cluster.
    fn judge() -> (Judge, Cluster) {
        let check = HealthCheck {
            unhealthy_threshold: 2,
            healthy_threshold: 2,
            initial_jitter: std::time::Duration::from_secs(u32::MAX.into()),
            ..HealthCheck::new(TcpProbe::default())
        };
        let builder = Cluster::builder("c").endpoints(["127.0.0.1:9"]).expect("an address");
        let cluster = builder.health_check(check.clone()).build();
        let endpoint = cluster.endpoints().remove(0);
        let stats = CheckStats::new(&Scope::noop());
        let judge = Judge { check: Arc::new(check), stats, endpoint, good: 0, bad: 0, first: true };
        (judge, cluster)
    }

    fn failed(retriable: bool) -> Result<Finding, CheckError> {
        Ok(Finding::Failed { retriable, exclude: false, why: String::new() })
    }

    fn flags(judge: &Judge) -> Vec<HealthFlag> {
        judge.endpoint.health().iter().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_check_decides_at_once() {
        let (mut judge, _cluster) = judge();
        assert_eq!(flags(&judge), [HealthFlag::FailedActiveHc]);
        let verdict = judge.judge(Ok(Finding::Healthy));
        assert!(verdict.changed && verdict.first && !verdict.short);
        assert_eq!(judge.endpoint.health(), HealthFlags::default());
    }

    #[tokio::test(start_paused = true)]
    async fn lost_connections_count_up_to_the_threshold() {
        let (mut judge, _cluster) = judge();
        judge.judge(Ok(Finding::Healthy));
        let verdict = judge.judge(Err(CheckError::Timeout));
        assert!(verdict.short && !verdict.changed && !verdict.well);
        assert_eq!(flags(&judge), []);
        judge.judge(Ok(Finding::Healthy));
        assert!(judge.judge(failed(true)).short, "a success has set the count back");
        let verdict = judge.judge(Err(CheckError::Timeout));
        assert!(verdict.changed && verdict.failed && !verdict.short);
        assert_eq!(flags(&judge), [HealthFlag::FailedActiveHc, HealthFlag::ActiveHcTimeout]);
        assert!(!judge.judge(failed(true)).changed);
        assert_eq!(flags(&judge), [HealthFlag::FailedActiveHc], "the last one was an answer");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_answer_is_one_too_many() {
        let (mut judge, _cluster) = judge();
        judge.judge(Ok(Finding::Healthy));
        assert!(judge.judge(failed(false)).failed);
        // It comes back after two successes in a row.
        assert!(judge.judge(Ok(Finding::Healthy)).short);
        judge.judge(failed(false));
        assert!(judge.judge(Ok(Finding::Healthy)).short);
        assert!(judge.judge(Ok(Finding::Healthy)).changed);
        assert_eq!(flags(&judge), []);
    }

    #[tokio::test(start_paused = true)]
    async fn degraded_comes_and_goes_with_each_answer() {
        let (mut judge, _cluster) = judge();
        assert!(judge.judge(Ok(Finding::Degraded)).changed);
        assert_eq!(flags(&judge), [HealthFlag::DegradedActiveHc]);
        assert!(!judge.judge(Ok(Finding::Degraded)).changed);
        assert!(judge.judge(Ok(Finding::Healthy)).changed);
        assert_eq!(flags(&judge), []);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_to_be_left_out_is_until_it_is_well() {
        let (mut judge, _cluster) = judge();
        let leave = Finding::Failed { retriable: false, exclude: true, why: String::new() };
        assert!(judge.judge(Ok(leave)).changed);
        assert!(judge.endpoint.health().is_excluded());
        judge.judge(Ok(Finding::Healthy));
        judge.judge(Ok(Finding::Healthy));
        assert_eq!(flags(&judge), []);
    }
}
