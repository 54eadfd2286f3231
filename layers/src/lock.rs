//! Mutexes whose data outlives a panic.

use std::sync::PoisonError;

use crate::sync::{Mutex, MutexGuard};

/// Locks; a panic elsewhere while it was held does not make the data unusable here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
