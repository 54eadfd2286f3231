//! The health of an endpoint: what is known of it, and what follows for load balancing.
//!
//! Several parties have a say, each with flags of its own ([`HealthFlag`]): active health checks
//! ([`crate::health_check`]), outlier detection ([`crate::outlier`]), and whoever told the members
//! of the cluster ([`HealthStatus`]). Together they make an endpoint healthy, degraded or
//! unhealthy, as [Envoy reckons](https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/health_checking).
//!
//! ```
//! use front_proxy_layers::cluster::Cluster;
//! use front_proxy_layers::discover::{Member, MemberSet};
//! use front_proxy_layers::health::{Health, HealthFlag, HealthStatus};
//!
//! let cluster = Cluster::builder("service1").build();
//! let leaving = Member { status: HealthStatus::Draining, ..Member::new(([127, 0, 0, 1], 80).into()) };
//! cluster.update(vec![leaving]);
//! let flags = cluster.endpoints()[0].health();
//! assert!(flags.contains(HealthFlag::StatusDraining));
//! assert_eq!(flags.health(), Health::Unhealthy);
//! ```

use std::fmt;
use std::sync::atomic::{AtomicU16, Ordering};

/// What follows from all flags of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// Gets requests.
    Healthy,
    /// Gets what the healthy ones are too few for.
    Degraded,
    /// Gets requests in a panic only.
    Unhealthy,
}

/// What discovery says of an endpoint (`health_status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Envoy's names
pub enum HealthStatus {
    /// Nothing; counts as healthy.
    #[default]
    Unknown,
    Healthy,
    Unhealthy,
    /// It is about to leave, and counts for nothing, not even among the unhealthy.
    Draining,
    /// Counts as unhealthy.
    Timeout,
    Degraded,
}

macro_rules! flags {
    ($($(#[$doc:meta])* $flag:ident = $name:literal,)*) => {
        /// One thing that somebody found out about an endpoint.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum HealthFlag {
            $($(#[$doc])* $flag,)*
        }

        impl HealthFlag {
            /// All of them, in the order in which Envoy's `/clusters` shows them.
            pub const ALL: &[Self] = &[$(Self::$flag,)*];

            /// Envoy's name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$flag => $name,)*
                }
            }
        }
    };
}

flags! {
    /// Active health checks fail, or there was none yet.
    FailedActiveHc = "failed_active_hc",
    /// Outlier detection ejected it.
    FailedOutlierCheck = "failed_outlier_check",
    /// Discovery says that it is unhealthy.
    FailedStatus = "failed_eds_health",
    /// Active health checks say that it is degraded.
    DegradedActiveHc = "degraded_active_hc",
    /// Discovery says that it is degraded.
    DegradedStatus = "degraded_eds_health",
    /// It is no member any more, but kept as long as health checks succeed.
    PendingDynamicRemoval = "pending_dynamic_removal",
    /// It is new, and not to be reckoned with before its first check.
    PendingActiveHc = "pending_active_hc",
    /// It asked to be left out (`x-envoy-immediate-health-check-fail`).
    ExcludedViaImmediateHcFail = "excluded_via_immediate_hc_fail",
    /// Its latest health check took too long.
    ActiveHcTimeout = "active_hc_timeout",
    /// Discovery says that it is about to leave.
    StatusDraining = "eds_status_draining",
}

impl HealthFlag {
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

const UNHEALTHY: u16 = HealthFlag::FailedActiveHc.bit()
    | HealthFlag::FailedOutlierCheck.bit()
    | HealthFlag::FailedStatus.bit()
    | HealthFlag::StatusDraining.bit();
const DEGRADED: u16 = HealthFlag::DegradedActiveHc.bit() | HealthFlag::DegradedStatus.bit();
const EXCLUDED: u16 = HealthFlag::PendingActiveHc.bit()
    | HealthFlag::ExcludedViaImmediateHcFail.bit()
    | HealthFlag::StatusDraining.bit();
const STATUS: u16 = HealthFlag::FailedStatus.bit()
    | HealthFlag::DegradedStatus.bit()
    | HealthFlag::StatusDraining.bit();

/// The flags of an endpoint at one moment.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct HealthFlags(u16);

impl HealthFlags {
    /// Whether this one is set.
    pub fn contains(self, flag: HealthFlag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// Those that are set, in Envoy's order.
    pub fn iter(self) -> impl Iterator<Item = HealthFlag> {
        HealthFlag::ALL.iter().copied().filter(move |flag| self.contains(*flag))
    }

    /// What follows from them.
    pub fn health(self) -> Health {
        if self.0 & UNHEALTHY != 0 {
            Health::Unhealthy
        } else if self.0 & DEGRADED != 0 {
            Health::Degraded
        } else {
            Health::Healthy
        }
    }

    /// Whether the endpoint is not even counted among those that should be healthy.
    pub fn is_excluded(self) -> bool {
        self.health() == Health::Unhealthy && self.0 & EXCLUDED != 0
    }
}

impl FromIterator<HealthFlag> for HealthFlags {
    fn from_iter<I: IntoIterator<Item = HealthFlag>>(flags: I) -> Self {
        Self(flags.into_iter().fold(0, |set, flag| set | flag.bit()))
    }
}

impl fmt::Debug for HealthFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The flags of an endpoint as they change.
#[derive(Debug, Default)]
pub(crate) struct HealthCell(AtomicU16);

impl HealthCell {
    pub(crate) fn load(&self) -> HealthFlags {
        HealthFlags(self.0.load(Ordering::Acquire))
    }

    /// Returns whether it was not set before.
    pub(crate) fn set(&self, flag: HealthFlag) -> bool {
        self.0.fetch_or(flag.bit(), Ordering::AcqRel) & flag.bit() == 0
    }

    /// Returns whether it was set before.
    pub(crate) fn clear(&self, flag: HealthFlag) -> bool {
        self.0.fetch_and(!flag.bit(), Ordering::AcqRel) & flag.bit() != 0
    }

    /// Takes over what discovery says. Returns whether that is news.
    pub(crate) fn follow(&self, status: HealthStatus) -> bool {
        let told = match status {
            HealthStatus::Unknown | HealthStatus::Healthy => 0,
            HealthStatus::Unhealthy | HealthStatus::Timeout => HealthFlag::FailedStatus.bit(),
            HealthStatus::Draining => HealthFlag::StatusDraining.bit(),
            HealthStatus::Degraded => HealthFlag::DegradedStatus.bit(),
        };
        let before = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |flags| {
            Some(flags & !STATUS | told)
        });
        before.is_ok_and(|flags| flags & STATUS != told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(set: &[HealthFlag]) -> HealthFlags {
        set.iter().copied().collect()
    }

    #[test]
    fn the_worst_counts() {
        use HealthFlag as F;
        assert_eq!(flags(&[]).health(), Health::Healthy);
        assert_eq!(flags(&[F::PendingDynamicRemoval]).health(), Health::Healthy);
        assert_eq!(flags(&[F::DegradedActiveHc]).health(), Health::Degraded);
        assert_eq!(flags(&[F::DegradedStatus, F::FailedOutlierCheck]).health(), Health::Unhealthy);
        for failed in [F::FailedActiveHc, F::FailedStatus, F::StatusDraining] {
            assert_eq!(flags(&[failed]).health(), Health::Unhealthy);
        }
    }

    #[test]
    fn who_is_excluded_is_unhealthy() {
        use HealthFlag as F;
        assert!(flags(&[F::StatusDraining]).is_excluded());
        assert!(flags(&[F::FailedActiveHc, F::PendingActiveHc]).is_excluded());
        assert!(!flags(&[F::FailedActiveHc]).is_excluded());
        assert!(!flags(&[F::ExcludedViaImmediateHcFail]).is_excluded());
    }

    #[test]
    fn what_discovery_says_leaves_other_flags_alone() {
        let cell = HealthCell::default();
        cell.set(HealthFlag::FailedOutlierCheck);
        assert!(cell.follow(HealthStatus::Degraded));
        assert!(!cell.follow(HealthStatus::Degraded));
        let set: Vec<_> = cell.load().iter().collect();
        assert_eq!(set, [HealthFlag::FailedOutlierCheck, HealthFlag::DegradedStatus]);
        assert!(cell.follow(HealthStatus::Healthy));
        assert!(cell.clear(HealthFlag::FailedOutlierCheck));
        assert_eq!(cell.load(), HealthFlags::default());
    }
}
