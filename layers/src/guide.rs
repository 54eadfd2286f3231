//! A guide to this crate: no code, only how its parts go together.
//!
//! 1. [`request`]: what a request meets on its way, and what happens when something fails.
//! 2. [`mounting`]: putting it into an app: paths, other layers, clients' addresses, stats.
//! 3. [`order`]: which layer does what, why in this order, what each costs.
//! 4. [`own_parts`]: balancers, discoveries, filters and stat names of your own.
//! 5. [`migrating`]: notes for those who come from axum-reverse-proxy and tower-proxy.
//!
//! Whole programs are in the repository's
//! [`examples`](https://github.com/front-proxy/front-proxy/tree/main/examples).

#[doc = include_str!("../docs/request.md")]
pub mod request {}

#[doc = include_str!("../docs/mounting.md")]
pub mod mounting {}

#[doc = include_str!("../docs/order.md")]
pub mod order {}

#[doc = include_str!("../docs/own_parts.md")]
pub mod own_parts {}

#[doc = include_str!("../docs/migrating.md")]
pub mod migrating {}
