//! What threads share, from one place.
//!
//! The files that use this have the places where threads meet: `cluster/permits.rs`,
//! `endpoint/free_list.rs`, `endpoint/http2/held.rs`, `endpoint/shared_list.rs`, `endpoint/waker.rs`,
//! `lock.rs`.
//! `layers/interleavings` compiles the same files against loom's version of these types and runs
//! them in all orders.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
#[cfg(feature = "http2")]
pub(crate) use std::sync::atomic::{AtomicU32, fence};
pub(crate) use std::sync::{Mutex, MutexGuard};

pub(crate) use atomic_waker::AtomicWaker;
pub(crate) use tokio::sync::oneshot;
