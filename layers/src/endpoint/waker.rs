//! The waker of a pooled connection: wakes whoever has the connection now.
//!
//! An HTTP/1 connection is driven by the task that uses it, not by a task of its own: the request
//! future polls it, then the response body does, then it lies idle. hyper stores the waker it was
//! polled with, so the connection is always polled with this one, and this one knows where to
//! pass a wake on:
//!
//! - while it is being polled: nowhere, the poller looks again before it goes to sleep. hyper
//!   wakes itself several times in a request, and each would cost another turn of the task;
//! - while a request uses it: to the task of that request;
//! - while it is idle: to the pool's watcher, since an idle connection that wakes has most
//!   likely been closed by the upstream.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::lock::lock;
use crate::sync::{AtomicBool, AtomicU8, AtomicWaker, Mutex, Ordering};

const IN_USE: u8 = 0;
const POLLING: u8 = 1;
const IDLE: u8 = 2;
const STATE: u8 = 3;
const WOKEN: u8 = 4;

#[derive(Debug)]
pub(super) struct ConnectionWaker {
    state: AtomicU8,
    task: AtomicWaker,
    id: u64,
    watcher: Arc<WatcherQueue>,
}

impl ConnectionWaker {
    pub(super) fn new(id: u64, watcher: Arc<WatcherQueue>) -> Arc<Self> {
        Arc::new(Self { state: AtomicU8::new(IN_USE), task: AtomicWaker::new(), id, watcher })
    }

    /// The task of `cx` has the connection from now on.
    pub(super) fn adopt(&self, cx: &Context<'_>) {
        self.task.register(cx.waker());
    }

    /// A round of polling begins, or is about to: wakes up to here are answered by it.
    pub(super) fn begin(&self) {
        self.enter(POLLING);
    }

    /// The round ends with nothing ready. False if a wake came meanwhile: poll again.
    pub(super) fn end(&self) -> bool {
        self.state.compare_exchange(POLLING, IN_USE, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The connection becomes idle: wakes go to the watcher.
    pub(super) fn idle(&self) {
        self.enter(IDLE);
    }

    /// The connection is in use; whoever has it is going to poll.
    pub(super) fn in_use(&self) {
        self.enter(IN_USE);
    }

    /// What a wake before this has [told](Readable) can be seen after it: for that each state has to
    /// take over from the one before, not just to be stored.
    fn enter(&self, state: u8) {
        self.state.swap(state, Ordering::AcqRel);
    }
}

impl Wake for ConnectionWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let before = self.state.fetch_or(WOKEN, Ordering::AcqRel);
        match before & STATE {
            IN_USE => self.task.wake(),
            IDLE if before & WOKEN == 0 => self.watcher.push(self.id),
            _ => {}
        }
    }
}

/// Whether there may be something to read: it is what the runtime wakes, and wakes the connection.
///
/// hyper reads several times in each of its turns, mostly where nothing has come since the last
/// time; and it wakes its connection itself, which says nothing of the socket.
#[derive(Debug)]
pub(super) struct Readable {
    told: AtomicBool,
    connection: Arc<ConnectionWaker>,
}

impl Readable {
    /// Nobody has looked yet.
    pub(super) fn new(connection: Arc<ConnectionWaker>) -> Arc<Self> {
        Arc::new(Self { told: AtomicBool::new(true), connection })
    }

    /// Whether a read may find something, or the end.
    pub(super) fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    /// Reads, with `waker`, which is this in the form in which the runtime wants it.
    pub(super) fn read<T>(
        &self,
        waker: &Waker,
        read: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if !self.is_told() {
            return Poll::Pending;
        }
        // First: what comes while it is read says so again.
        self.told.store(false, Ordering::Release);
        let polled = read(&mut Context::from_waker(waker));
        if polled.is_ready() {
            self.told.store(true, Ordering::Release);
        }
        polled
    }
}

impl Wake for Readable {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.told.store(true, Ordering::Release);
        self.connection.wake_by_ref();
    }
}

/// Idle connections that were woken, and the task that looks after them.
#[derive(Debug, Default)]
pub(super) struct WatcherQueue {
    woken: Mutex<Vec<u64>>,
    task: AtomicWaker,
}

impl WatcherQueue {
    fn push(&self, id: u64) {
        lock(&self.woken).push(id);
        self.task.wake();
    }

    /// A turn of the watcher: those that were woken since the one before. Whatever happens from now
    /// on wakes its task again.
    pub(super) fn turn(&self, waker: &Waker) -> Vec<u64> {
        // First: what is woken in between is either among those that are taken, or a wake.
        self.task.register(waker);
        std::mem::take(&mut *lock(&self.woken))
    }

    pub(super) fn wake(&self) {
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_wake_goes_to_whoever_has_the_connection() {
        let queue = Arc::new(WatcherQueue::default());
        let connection = ConnectionWaker::new(7, Arc::clone(&queue));
        let waker = Waker::from(Arc::clone(&connection));
        let task = Arc::new(Count(AtomicUsize::new(0)));
        let task_waker = Waker::from(Arc::clone(&task));

        connection.adopt(&Context::from_waker(&task_waker));
        connection.begin();
        waker.wake_by_ref();
        assert_eq!(task.0.load(Ordering::Relaxed), 0, "the poller is at it");
        assert!(!connection.end(), "and is told to look again");

        connection.begin();
        assert!(connection.end());
        waker.wake_by_ref();
        assert_eq!(task.0.load(Ordering::Relaxed), 1);

        connection.idle();
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(queue.turn(&task_waker), [7], "once is enough");
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
    }
}
