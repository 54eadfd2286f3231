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
//! let picker = balancer.picker(&[Candidate { weight: 1 }, Candidate { weight: 1 }]);
//! let first = picker.pick(&PickContext::default()).unwrap();
//! let second = picker.pick(&PickContext::default()).unwrap();
//! assert_ne!(first, second);
//! ```

mod least_request;
mod random;
mod round_robin;

pub use least_request::LeastRequest;
pub use random::Random;
pub use round_robin::RoundRobin;

use std::fmt::Debug;
use std::sync::Arc;

/// Chooses endpoints for a cluster. Implement it for a policy of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not balance load",
    label = "needs `LoadBalancer`",
    note = "there are `RoundRobin`, `LeastRequest` and `Random` in `front_proxy_layers::balance`"
)]
pub trait LoadBalancer: Debug + Send + Sync + 'static {
    /// A picker over these candidates, which are the endpoints that may be used, in the cluster's
    /// order. Called when the set changes, never per request.
    fn picker(&self, candidates: &[Candidate]) -> Arc<dyn Picker>;
}

/// Picks one of the candidates it was made for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not pick endpoints",
    label = "needs `Picker`, which a `LoadBalancer` makes for each set of endpoints"
)]
pub trait Picker: Debug + Send + Sync + 'static {
    /// The index of a candidate; `None` where there is none.
    fn pick(&self, context: &PickContext<'_>) -> Option<usize>;
}

/// What a balancer knows of an endpoint when the set is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its share of the requests; at least 1.
    pub weight: u32,
}

/// What a balancer knows of a request.
#[derive(Clone, Copy, Default)]
pub struct PickContext<'a> {
    /// The hash of what the route's hash policy names, where there is one.
    pub hash: Option<u64>,
    /// How many requests each candidate has in flight.
    pub active: Option<&'a dyn Fn(usize) -> u64>,
}

impl Debug for PickContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PickContext").field("hash", &self.hash).finish_non_exhaustive()
    }
}
