//! What is checked, and how often.

use std::time::Duration;

#[cfg(feature = "http2")]
use super::GrpcProbe;
use super::{HttpProbe, TcpProbe};

/// The health checks of a cluster.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    /// How an endpoint is asked.
    pub probe: Probe,
    /// How long an answer may take. Default 5 s.
    pub timeout: Duration,
    /// The time between the end of a check and the next one. Default 10 s.
    pub interval: Duration,
    /// Up to so much is added to each interval, at random. Default nothing.
    pub interval_jitter: Duration,
    /// Up to so many percent of it are added to each interval, at random. Default none.
    pub interval_jitter_percent: u32,
    /// The first check of an endpoint is put off by up to so much, at random. Default nothing.
    pub initial_jitter: Duration,
    /// The interval while the cluster never had a connection to an endpoint. Default 60 s.
    pub no_traffic_interval: Duration,
    /// The same for endpoints that are healthy. Default `no_traffic_interval`.
    pub no_traffic_healthy_interval: Option<Duration>,
    /// The interval for endpoints that have failed. Default `interval`.
    pub unhealthy_interval: Option<Duration>,
    /// The interval after a failure that was one too few. Default `unhealthy_interval`.
    pub unhealthy_edge_interval: Option<Duration>,
    /// The interval after a success that was one too few. Default `interval`.
    pub healthy_edge_interval: Option<Duration>,
    /// Timeouts and lost connections in a row after which an endpoint has failed. Default 3.
    pub unhealthy_threshold: u32,
    /// Successes in a row after which an endpoint is back. Default 2.
    pub healthy_threshold: u32,
    /// Whether a connection serves more than one check. Default `true`.
    pub reuse_connection: bool,
    /// Logs each failure, and not only those that make a difference. Default `false`.
    pub always_log_failures: bool,
}

/// How an endpoint is asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "there is one for a cluster")]
pub enum Probe {
    /// By an HTTP request.
    Http(HttpProbe),
    /// By a connection, and bytes on it.
    Tcp(TcpProbe),
    /// By gRPC's own health service.
    #[cfg(feature = "http2")]
    Grpc(GrpcProbe),
}

impl HealthCheck {
    /// Checks by this probe, with everything else at its default.
    pub fn new(probe: impl Into<Probe>) -> Self {
        Self {
            probe: probe.into(),
            timeout: Duration::from_secs(5),
            interval: Duration::from_secs(10),
            interval_jitter: Duration::ZERO,
            interval_jitter_percent: 0,
            initial_jitter: Duration::ZERO,
            no_traffic_interval: Duration::from_secs(60),
            no_traffic_healthy_interval: None,
            unhealthy_interval: None,
            unhealthy_edge_interval: None,
            healthy_edge_interval: None,
            unhealthy_threshold: 3,
            healthy_threshold: 2,
            reuse_connection: true,
            always_log_failures: false,
        }
    }

    /// When to check next after a check that went `well`, and that is `short` of the number that
    /// changes something. `traffic` is whether the cluster is in use.
    pub(super) fn next(&self, traffic: bool, well: bool, short: bool) -> Duration {
        let base = match (traffic, well, short) {
            (false, true, false) => {
                self.no_traffic_healthy_interval.unwrap_or(self.no_traffic_interval)
            }
            (false, ..) => self.no_traffic_interval,
            (true, true, false) => self.interval,
            (true, true, true) => self.healthy_edge_interval.unwrap_or(self.interval),
            (true, false, false) => self.unhealthy_interval.unwrap_or(self.interval),
            (true, false, true) => {
                self.unhealthy_edge_interval.or(self.unhealthy_interval).unwrap_or(self.interval)
            }
        };
        let percent = base.saturating_mul(self.interval_jitter_percent) / 100;
        let jitter = random(percent).saturating_add(random(self.interval_jitter));
        base.saturating_add(jitter)
    }

    pub(super) fn first(&self) -> Duration {
        random(self.initial_jitter)
    }
}

fn random(up_to: Duration) -> Duration {
    // Rounding must not make it longer than the longest duration.
    up_to.min(Duration::MAX / 2).mul_f64(fastrand::f64())
}

impl From<HttpProbe> for Probe {
    fn from(probe: HttpProbe) -> Self {
        Self::Http(probe)
    }
}

impl From<TcpProbe> for Probe {
    fn from(probe: TcpProbe) -> Self {
        Self::Tcp(probe)
    }
}

#[cfg(feature = "http2")]
impl From<GrpcProbe> for Probe {
    fn from(probe: GrpcProbe) -> Self {
        Self::Grpc(probe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn each_case_has_its_interval() {
        let check = HealthCheck {
            interval: seconds(1),
            unhealthy_interval: Some(seconds(2)),
            unhealthy_edge_interval: Some(seconds(3)),
            healthy_edge_interval: Some(seconds(4)),
            no_traffic_interval: seconds(5),
            no_traffic_healthy_interval: Some(seconds(6)),
            ..HealthCheck::new(TcpProbe::default())
        };
        let next = |traffic, well, short| check.next(traffic, well, short).as_secs();
        assert_eq!(next(true, true, false), 1);
        assert_eq!(next(true, false, false), 2);
        assert_eq!(next(true, false, true), 3);
        assert_eq!(next(true, true, true), 4);
        assert_eq!(next(false, false, false), 5);
        assert_eq!(next(false, true, true), 5);
        assert_eq!(next(false, true, false), 6);
    }

    #[test]
    fn what_is_not_given_follows_from_the_rest() {
        let check = HealthCheck {
            interval: seconds(1),
            unhealthy_interval: Some(seconds(2)),
            ..HealthCheck::new(TcpProbe::default())
        };
        let next = |traffic, well, short| check.next(traffic, well, short).as_secs();
        assert_eq!((next(true, false, true), next(true, true, true)), (2, 1));
        assert_eq!((next(false, true, false), next(false, false, false)), (60, 60));
    }

    #[test]
    fn jitter_only_adds() {
        let check = HealthCheck {
            interval: seconds(10),
            interval_jitter: seconds(1),
            interval_jitter_percent: 20,
            initial_jitter: seconds(4),
            ..HealthCheck::new(TcpProbe::default())
        };
        for _ in 0..100 {
            let next = check.next(true, true, false);
            assert!(next >= seconds(10) && next <= seconds(13), "{next:?}");
            assert!(check.first() <= seconds(4));
        }
    }
}
