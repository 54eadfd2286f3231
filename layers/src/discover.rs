//! Who the members of a cluster are: [`Member`], the sink that takes them, and where they come from.
//!
//! A [`Discover`] finds members and hands whole sets of them to a [`MemberSet`], which the cluster
//! is. It runs for as long as the cluster lives. An async function is one:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use front_proxy_layers::cluster::Cluster;
//! use front_proxy_layers::discover::{Member, MemberSet};
//!
//! async fn follow_a_file(members: Arc<dyn MemberSet>) {
//!     let mut every = tokio::time::interval(Duration::from_secs(5));
//!     loop {
//!         every.tick().await;
//!         // A file that can't be read is no reason to lose the members known so far.
//!         let Ok(text) = std::fs::read_to_string("members.txt") else {
//!             members.failed();
//!             continue;
//!         };
//!         members.update(text.lines().filter_map(|l| l.parse().ok()).map(Member::new).collect());
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let cluster = Cluster::builder("service1").discover(follow_a_file).build();
//! // The first look at the file is over, whatever came of it.
//! cluster.initialized().await;
//! # assert!(cluster.endpoints().is_empty());
//! # }
//! ```
//!
//! Whoever knows the members without looking for them calls [`update`](MemberSet::update) of the
//! [`Cluster`](crate::cluster::Cluster) itself.
//!
#![cfg_attr(
    feature = "dns",
    doc = "[`dns`] holds Envoy's two DNS discoveries, `STRICT_DNS` and `LOGICAL_DNS`."
)]

#[cfg(feature = "dns")]
pub mod dns;
pub(crate) mod first;
mod member;
mod update_stats;

use std::future::Future;
use std::sync::Arc;

pub use first::FirstResolution;
pub use member::{AddressError, Checking, Locality, Member};
pub use update_stats::UpdateStats;

/// Finds the members of a cluster, and goes on finding them.
///
/// Hand it to [`ClusterBuilder::discover`](crate::cluster::ClusterBuilder::discover). Functions and
/// closures that take an `Arc<dyn MemberSet>` and are async are such.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not discover members",
    label = "needs `Discover`",
    note = "an `async fn(members: Arc<dyn MemberSet>)` whose future is `Send` does; a closure has to name its argument's type"
)]
pub trait Discover: Send + 'static {
    /// Runs until it is dropped, which it is when the cluster is. Where it ends earlier, the members
    /// stay as they are.
    fn run(self, members: Arc<dyn MemberSet>) -> impl Future<Output = ()> + Send + 'static;
}

impl<F, T> Discover for F
where
    F: FnOnce(Arc<dyn MemberSet>) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    fn run(self, members: Arc<dyn MemberSet>) -> impl Future<Output = ()> + Send + 'static {
        self(members)
    }
}

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

    /// Nothing could be learned this time: the members stay. Whoever waits for the first answer
    /// ([`Cluster::initialized`](crate::cluster::Cluster::initialized)) waits no longer.
    fn failed(&self) {}
}

impl<M: MemberSet + ?Sized> MemberSet for Arc<M> {
    fn update(&self, members: Vec<Member>) -> bool {
        (**self).update(members)
    }

    fn failed(&self) {
        (**self).failed();
    }
}
