//! Why a request is given up, for those who notice only that it is.
//!
//! A future that is dropped is not told why. Whether the client left or the upstream was too slow
//! makes a difference to the endpoint, though: the one is not its fault. So the timeout says it to
//! whatever is dropped on this thread meanwhile, and is told how many tries there were.

use std::cell::Cell;

use crate::error::ErrorKind;

thread_local! {
    static STRIKING: Cell<Option<Struck>> = const { Cell::new(None) };
}

#[derive(Clone, Copy, Debug)]
struct Struck {
    route: bool,
    attempts: u32,
}

/// While there is one, what is dropped on this thread is dropped for a timeout.
#[derive(Debug)]
pub(super) struct Striking(());

impl Striking {
    /// For timeouts of the upstream, which are the router's; the client's are nobody's business.
    pub(super) fn begin(kind: ErrorKind) -> Option<Self> {
        let route = match kind {
            ErrorKind::UpstreamTimeout => true,
            ErrorKind::MaxUpstreamDuration => false,
            _ => return None,
        };
        STRIKING.set(Some(Struck { route, attempts: 0 }));
        Some(Self(()))
    }

    /// What [`tell_attempts`] told; 0 if nobody did.
    pub(super) fn attempts(&self) -> u32 {
        STRIKING.get().map_or(0, |struck| struck.attempts)
    }
}

impl Drop for Striking {
    fn drop(&mut self) {
        STRIKING.set(None);
    }
}

/// Whether what is being dropped on this thread is dropped for a route's timeout.
pub(crate) fn has_struck() -> bool {
    STRIKING.get().is_some_and(|struck| struck.route)
}

/// From what is being dropped: how many tries the answer to the client is to tell of.
#[cfg(feature = "retry")]
pub(crate) fn tell_attempts(attempts: u32) {
    if let Some(struck) = STRIKING.get() {
        STRIKING.set(Some(Struck { attempts, ..struck }));
    }
}
