//! Load balancing: which endpoint a request goes to.
//!
//! A [`LoadBalancer`] makes a [`Picker`] for each set of endpoints; picking is lock-free over that
//! immutable set. The balancer itself outlives the sets, and so does what must: the round-robin
//! cursor goes on where it was when members come and go.
//!
//! ```
//! use front_proxy_layers::balance::{Candidate, LoadBalancer, PickContext, RoundRobin};
//!
//! let balancer = RoundRobin::default();
//! let candidates = ["127.0.0.1:8001", "127.0.0.1:8002"];
//! let candidates = candidates.map(|address| Candidate::new(address.parse().unwrap(), 1));
//! let picker = balancer.picker(&candidates);
//! let first = picker.pick(&PickContext::default()).unwrap();
//! let second = picker.pick(&PickContext::default()).unwrap();
//! assert_ne!(first, second);
//! ```

mod least_request;
mod maglev;
mod random;
mod ring_hash;
mod round_robin;

pub use least_request::LeastRequest;
pub use maglev::Maglev;
pub use random::Random;
pub use ring_hash::RingHash;
pub use round_robin::RoundRobin;

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;

/// Chooses endpoints for a cluster. Implement it for a policy of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not balance load",
    label = "needs `LoadBalancer`",
    note = "there are `RoundRobin`, `LeastRequest`, `Random`, `RingHash` and `Maglev` in `front_proxy_layers::balance`"
)]
pub trait LoadBalancer: Debug + Send + Sync + 'static {
    /// A picker over these candidates, which are the endpoints that may be used, in the cluster's
    /// order. Called when the set changes, never per request.
    fn picker(&self, candidates: &[Candidate]) -> Arc<dyn Picker>;

    /// A balancer like this one for another priority of the cluster. Those that keep something
    /// from pick to pick make one that keeps its own; the default is none, where this one does
    /// for all.
    fn sibling(&self) -> Option<Box<dyn LoadBalancer>> {
        None
    }
}

/// Picks one of the candidates it was made for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not pick endpoints",
    label = "needs `Picker`, which a `LoadBalancer` makes for each set of endpoints"
)]
pub trait Picker: Debug + Send + Sync + 'static {
    /// The index of a candidate; `None` where there is none.
    fn pick(&self, context: &PickContext<'_>) -> Option<usize>;

    /// Shows in stats what it is made of, where it is the one that they tell of: that of the
    /// cluster's last priority with endpoints that may be used, as in Envoy. Nothing by default.
    fn show(&self) {}
}

/// What a balancer knows of an endpoint when the set is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is: what stays the same when others come and go.
    pub address: SocketAddr,
    /// Its share of the requests; at least 1.
    pub weight: u32,
}

impl Candidate {
    /// A candidate there with this weight, at least 1.
    pub fn new(address: SocketAddr, weight: u32) -> Self {
        Self { address, weight: weight.max(1) }
    }
}

/// What a balancer knows of a request.
#[derive(Clone, Copy, Default)]
pub struct PickContext<'a> {
    /// The hash of what the route's hash policy names, where there is one.
    pub hash: Option<u64>,
    /// How many picks for the same try went before and were turned down.
    pub attempt: u32,
    /// How many requests each candidate has in flight.
    pub active: Option<&'a dyn Fn(usize) -> u64>,
}

impl Debug for PickContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PickContext").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// Candidates of these weights, for tests.
#[cfg(test)]
pub(crate) fn candidates(weights: &[u32]) -> Vec<Candidate> {
    let address = |n: usize| SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 80));
    weights.iter().enumerate().map(|(n, weight)| Candidate::new(address(n), *weight)).collect()
}
