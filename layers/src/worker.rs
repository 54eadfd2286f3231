//! Which worker a thread is: the index that shards endpoint pools and counters.
//!
//! A proxy that runs one current-thread runtime per worker gives each thread its index with
//! [`enter`]. Threads that never said (an axum app's runtime threads) get the next free index at
//! first use, so shards are spread over them all the same.
//!
//! ```
//! std::thread::spawn(|| {
//!     front_proxy_layers::worker::enter(1);
//!     assert_eq!(front_proxy_layers::worker::index(), 1);
//! }).join().unwrap();
//! ```

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Gives the current thread its worker index.
pub fn enter(index: usize) {
    INDEX.set(index);
}

/// The current thread's worker index.
#[inline]
pub fn index() -> usize {
    let index = INDEX.get();
    if index == usize::MAX { assign() } else { index }
}

#[cold]
fn assign() -> usize {
    let index = NEXT.fetch_add(1, Ordering::Relaxed);
    INDEX.set(index);
    index
}
