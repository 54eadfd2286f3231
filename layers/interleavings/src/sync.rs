//! The counterpart of `front-proxy-layers`' `sync`: the same names, known to loom.

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
pub(crate) use loom::sync::{Mutex, MutexGuard};

use std::task::Waker;

/// What `atomic-waker` promises, by a lock: of a registration and a wake at the same time either
/// the wake sees the registration, or the registration comes after it.
#[derive(Debug)]
pub(crate) struct AtomicWaker(Mutex<Option<Waker>>);

impl Default for AtomicWaker {
    fn default() -> Self {
        Self::new()
    }
}

impl AtomicWaker {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn register(&self, waker: &Waker) {
        *crate::lock::lock(&self.0) = Some(waker.clone());
    }

    pub(crate) fn wake(&self) {
        let waker = crate::lock::lock(&self.0).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// What of `tokio::sync::oneshot` the pool uses, by a lock.
pub(crate) mod oneshot {
    use std::sync::Arc;

    use super::Mutex;
    use crate::lock::lock;

    #[derive(Debug)]
    struct Slot<T> {
        value: Option<T>,
        closed: bool,
    }

    #[derive(Debug)]
    pub(crate) struct Sender<T>(Arc<Mutex<Slot<T>>>);

    #[derive(Debug)]
    pub(crate) struct Receiver<T>(Arc<Mutex<Slot<T>>>);

    pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let slot = Arc::new(Mutex::new(Slot { value: None, closed: false }));
        (Sender(Arc::clone(&slot)), Receiver(slot))
    }

    impl<T> Drop for Receiver<T> {
        /// What nobody took goes with it.
        fn drop(&mut self) {
            let left = {
                let mut slot = lock(&self.0);
                slot.closed = true;
                slot.value.take()
            };
            drop(left);
        }
    }

    impl<T> Sender<T> {
        pub(crate) fn send(self, value: T) -> Result<(), T> {
            let mut slot = lock(&self.0);
            if slot.closed {
                return Err(value);
            }
            slot.value = Some(value);
            Ok(())
        }

        pub(crate) fn is_closed(&self) -> bool {
            lock(&self.0).closed
        }
    }

    #[allow(clippy::needless_pass_by_ref_mut)] // as tokio has them
    impl<T> Receiver<T> {
        pub(crate) fn close(&mut self) {
            lock(&self.0).closed = true;
        }

        pub(crate) fn try_recv(&mut self) -> Option<T> {
            lock(&self.0).value.take()
        }
    }
}
