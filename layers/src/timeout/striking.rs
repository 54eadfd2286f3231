//! Why a request is given up, for those who notice only that it is.
//!
//! A future that is dropped is not told why. Whether the client left or the upstream was too slow
//! makes a difference to the endpoint, though: the one is not its fault. So the timeout says it to
//! whatever is dropped on this thread meanwhile.

use std::cell::Cell;

thread_local! {
    static STRIKING: Cell<bool> = const { Cell::new(false) };
}

/// While there is one, what is dropped on this thread is dropped for a timeout.
#[derive(Debug)]
pub(super) struct Striking(());

impl Striking {
    pub(super) fn begin() -> Self {
        STRIKING.set(true);
        Self(())
    }
}

impl Drop for Striking {
    fn drop(&mut self) {
        STRIKING.set(false);
    }
}

/// Whether what is being dropped on this thread is dropped for a route's timeout.
pub(crate) fn has_struck() -> bool {
    STRIKING.get()
}
