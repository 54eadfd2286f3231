//! The places of `front-proxy-layers` where threads meet, run in all orders by
//! [loom](https://docs.rs/loom): the files themselves, compiled against loom's atomics and locks.
//!
//! Each function here is one model; `tests/all.rs` runs them. loom goes through every order of the
//! threads' steps and every value that a relaxed load may see; what a model asserts holds in
//! all of them. Models are small on purpose: two or three threads, one or two steps each.

// The tests inside the files of `front-proxy-layers` are for the types that they have there: a build
// of this library for tests, of which it has none itself, is empty.

#[cfg(not(test))]
mod sync;

#[cfg(not(test))]
#[path = "../../src/lock.rs"]
mod lock;

#[cfg(not(test))]
#[allow(dead_code)]
#[path = "../../src/cluster/permits.rs"]
mod permits;

#[cfg(not(test))]
#[allow(dead_code)]
#[path = "../../src/endpoint/waker.rs"]
mod waker;

#[cfg(not(test))]
#[allow(dead_code)]
#[path = "../../src/endpoint/free_list.rs"]
mod free_list;

#[cfg(not(test))]
#[allow(dead_code)]
#[path = "../../src/endpoint/http2/held.rs"]
mod held;

#[cfg(not(test))]
#[allow(dead_code)]
#[path = "../../src/endpoint/shared_list.rs"]
mod shared_list;

#[cfg(not(test))]
pub mod breakers;
#[cfg(not(test))]
pub mod ends;
#[cfg(not(test))]
pub mod pool;
#[cfg(not(test))]
pub mod shared;
#[cfg(not(test))]
pub mod wakes;
