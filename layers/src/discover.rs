//! Who the members of a cluster are: [`Member`], the sink that takes them, and where they come from.
//!
//! Discovery hands over whole sets. Whoever knows the members of a cluster owns its
//! [`MemberSet`] and calls [`update`](MemberSet::update) whenever it learns a set, changed or not:
//!
//! ```
//! use std::sync::Arc;
//!
//! use front_proxy_layers::discover::{Member, MemberSet};
//!
//! async fn follow_a_file(members: Arc<dyn MemberSet>, path: &std::path::Path) {
//!     let mut every = tokio::time::interval(std::time::Duration::from_secs(5));
//!     loop {
//!         every.tick().await;
//!         // A file that can't be read is no reason to lose the members known so far.
//!         let Ok(text) = std::fs::read_to_string(path) else { continue };
//!         members.update(text.lines().filter_map(|l| l.parse().ok()).map(Member::new).collect());
//!     }
//! }
//! ```
//!
//! [`dns`] holds Envoy's two DNS discoveries, `STRICT_DNS` and `LOGICAL_DNS`.

#[cfg(feature = "dns")]
pub mod dns;
mod update_stats;

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::health::HealthStatus;

pub use update_stats::UpdateStats;

/// Takes the members of a cluster as discovery learns them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not take members",
    label = "needs `MemberSet`, as `Cluster` has it"
)]
pub trait MemberSet: Send + Sync {
    /// Replaces the whole set. Returns whether membership changed.
    ///
    /// The order of `members` has no meaning: the same members in another order are no change.
    /// An address may come more than once, from two names which both resolve to it. Envoy 1.40
    /// counts such an endpoint twice in `membership_total` and gives it a turn for each.
    fn update(&self, members: Vec<Member>) -> bool;
}

impl<M: MemberSet + ?Sized> MemberSet for Arc<M> {
    fn update(&self, members: Vec<Member>) -> bool {
        (**self).update(members)
    }
}

/// One endpoint of a cluster, as discovery sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Where it listens.
    pub address: SocketAddr,
    /// The name it was found under or was given, else its address as configured. Never resolved
    /// again: it is what `/clusters` shows and what a host rewrite puts into `Host`.
    pub hostname: Arc<str>,
    /// Its share of requests, against the other members'.
    pub weight: u32,
    /// Where it is, where that is known.
    pub locality: Option<Arc<Locality>>,
    /// Its priority; 0 is used first.
    pub priority: u32,
    /// What is said of its health.
    pub status: HealthStatus,
    /// How it is to be checked, where that is special.
    pub checking: Option<Arc<Checking>>,
}

/// What active health checks do differently for one endpoint (`health_check_config`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Checking {
    /// It is not checked, and counts as one that passes.
    pub disabled: bool,
    /// The port that is checked, where it is not the one that serves.
    pub port: Option<u16>,
    /// The address that is checked, where it is not the one that serves.
    pub ip: Option<IpAddr>,
    /// The host that checks ask for.
    pub hostname: Option<Arc<str>>,
}

impl Member {
    /// A member of weight 1 and priority 0 with its IP address for a hostname.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            hostname: address.ip().to_string().into(),
            address,
            weight: 1,
            locality: None,
            priority: 0,
            status: HealthStatus::Unknown,
            checking: None,
        }
    }
}

/// Where an endpoint is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Locality {
    /// `region`
    pub region: String,
    /// `zone`
    pub zone: String,
    /// `sub_zone`
    pub sub_zone: String,
}
