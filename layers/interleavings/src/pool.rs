//! The free list of a shard: requests on other threads than their connection's worker, as in an app
//! on a runtime with several threads.

use std::sync::Arc;

use loom::sync::atomic::{AtomicI32, Ordering};
use loom::thread;

use crate::free_list::{FreeList, Handed, Taken};
use crate::lock::lock;
use crate::sync::{Mutex, oneshot};

/// What `endpoint::pool` makes of the list: a lock around it.
struct Pool {
    list: Mutex<FreeList<u32>>,
    /// Requests that use the one connection.
    users: AtomicI32,
}

/// What a request has.
enum Held {
    Connection(u32),
    Place,
    Turn(oneshot::Receiver<Handed<u32>>),
}

impl Pool {
    fn new() -> Arc<Self> {
        Arc::new(Self { list: Mutex::new(FreeList::default()), users: AtomicI32::new(0) })
    }

    /// One connection is all there may be.
    fn take(&self, in_front: bool) -> Held {
        match lock(&self.list).take(|_| true, false, in_front) {
            Taken::Free(connection) => Held::Connection(connection),
            Taken::Place { .. } => Held::Place,
            Taken::Queued { handed, .. } => Held::Turn(handed),
        }
    }

    fn use_and_put(&self, connection: u32) {
        assert_eq!(self.users.fetch_add(1, Ordering::AcqRel), 0, "two requests on one connection");
        self.users.fetch_sub(1, Ordering::AcqRel);
        lock(&self.list).put(connection);
    }

    /// As `Waiter` does when it is dropped.
    fn leave(&self, mut handed: oneshot::Receiver<Handed<u32>>) {
        handed.close();
        match handed.try_recv() {
            Some(Some(connection)) => lock(&self.list).put(connection),
            Some(None) => lock(&self.list).wake_one(),
            None => lock(&self.list).forget_gone(),
        }
    }

    /// A request with a connection, however it got it; one that finds none leaves.
    fn request(&self) {
        match self.take(false) {
            Held::Connection(connection) => self.use_and_put(connection),
            Held::Place => self.use_and_put(1),
            Held::Turn(handed) => self.leave(handed),
        }
    }

    /// A request that waits if it has to.
    fn stay(&self) -> Option<oneshot::Receiver<Handed<u32>>> {
        match self.take(false) {
            Held::Connection(connection) => self.use_and_put(connection),
            Held::Place => self.use_and_put(2),
            Held::Turn(handed) => return Some(handed),
        }
        None
    }

    /// At rest there is the one connection, idle: a request that comes now gets it, and the next
    /// one gets no place for another.
    fn is_whole(&self) {
        assert_eq!(lock(&self.list).idle(), 1, "the connection is lost");
        assert!(matches!(self.take(false), Held::Connection(1)));
        assert!(matches!(self.take(false), Held::Turn(_)), "a place was given up twice");
    }
}

/// Three requests, one connection: nobody shares it, and it is there afterwards. Covers a waiter that
/// leaves while the connection is handed to it.
pub fn a_connection_serves_one_request_at_a_time() {
    loom::model(|| {
        let pool = Pool::new();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let pool = Arc::clone(&pool);
                thread::spawn(move || pool.request())
            })
            .collect();
        pool.request();
        for other in others {
            other.join().expect("no panic");
        }
        pool.is_whole();
    });
}

/// A connection comes back while the first of two waiters leaves: the second gets it, or finds it
/// when it looks. Nobody waits beside a free connection.
pub fn what_a_leaving_request_was_handed_is_the_next_ones() {
    loom::model(|| {
        let pool = Pool::new();
        assert!(matches!(pool.take(false), Held::Place), "the first makes the connection");
        let Held::Turn(first) = pool.take(false) else { panic!("it is taken") };
        let Held::Turn(mut second) = pool.take(false) else { panic!("it is taken") };

        let leaves = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.leave(first))
        };
        pool.use_and_put(1);
        leaves.join().expect("no panic");
        match second.try_recv() {
            Some(Some(connection)) => pool.use_and_put(connection),
            other => panic!("{other:?} for who waits, and {} idle", lock(&pool.list).idle()),
        }
        pool.is_whole();
    });
}

/// The connection ends while the first of two waiters leaves: the place is the second's.
pub fn a_place_that_is_free_wakes_who_waits() {
    loom::model(|| {
        let pool = Pool::new();
        assert!(matches!(pool.take(false), Held::Place));
        let Held::Turn(first) = pool.take(false) else { panic!("it is taken") };
        let Held::Turn(mut second) = pool.take(false) else { panic!("it is taken") };

        let leaves = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.leave(first))
        };
        lock(&pool.list).vacate();
        leaves.join().expect("no panic");
        assert_eq!(second.try_recv(), Some(None), "told to look again");
        assert!(matches!(pool.take(true), Held::Place), "and finds the place");
    });
}

/// The watcher looks at an idle connection while two requests come, and finds it well or dead. It lies
/// in the pool for nobody meanwhile; nobody is left waiting beside it.
pub fn a_look_at_an_idle_connection_keeps_nobody_waiting() {
    for dead in [false, true] {
        loom::model(move || {
            let pool = Pool::new();
            assert!(matches!(pool.take(false), Held::Place));
            lock(&pool.list).put(1);
            let watcher = {
                let pool = Arc::clone(&pool);
                // As `Watcher::check`.
                thread::spawn(move || {
                    let taken = lock(&pool.list).remove(|connection| *connection == 1);
                    match taken {
                        Some(_) if dead => lock(&pool.list).vacate(),
                        Some(connection) => lock(&pool.list).put_cold(connection),
                        None => {}
                    }
                })
            };
            two_come(&pool, watcher);
        });
    }
}

/// A connection is made, or is not, for a request that has left, while two others come: one of them
/// gets it or makes its own, and so does then the other.
pub fn what_was_begun_and_left_is_for_those_who_come() {
    for fails in [false, true] {
        loom::model(move || {
            let pool = Pool::new();
            assert!(matches!(pool.take(false), Held::Place));
            lock(&pool.list).spare();
            let made = {
                let pool = Arc::clone(&pool);
                // As `Connecting` when it is dropped.
                thread::spawn(move || {
                    if fails {
                        lock(&pool.list).vacate();
                    } else {
                        lock(&pool.list).put(1);
                    }
                    lock(&pool.list).spared();
                })
            };
            two_come(&pool, made);
        });
    }
}

/// Two requests come while `something` goes on, and each of them is served.
fn two_come(pool: &Arc<Pool>, something: thread::JoinHandle<()>) {
    let other = {
        let pool = Arc::clone(pool);
        thread::spawn(move || pool.stay())
    };
    let own = pool.stay();
    something.join().expect("no panic");
    let other = other.join().expect("no panic");
    let mut waiting: Vec<_> = own.into_iter().chain(other).collect();
    while !waiting.is_empty() {
        let told = waiting.iter_mut().position(|waits| match waits.try_recv() {
            Some(Some(connection)) => {
                pool.use_and_put(connection);
                true
            }
            Some(None) => {
                pool.request();
                true
            }
            None => false,
        });
        drop(waiting.remove(told.expect("somebody waits for nobody")));
    }
}

/// A request that was told to look again is beaten to it by one that has just come: it gets in line
/// in front, and nothing is lost.
pub fn whoever_looks_again_keeps_its_turn() {
    loom::model(|| {
        let pool = Pool::new();
        assert!(matches!(pool.take(false), Held::Place));
        let Held::Turn(mut waits) = pool.take(false) else { panic!("it is taken") };
        lock(&pool.list).vacate();
        assert_eq!(waits.try_recv(), Some(None));

        let comes = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.request())
        };
        match pool.take(true) {
            Held::Place => pool.use_and_put(1),
            Held::Connection(connection) => pool.use_and_put(connection),
            Held::Turn(mut handed) => {
                comes.join().expect("no panic");
                let connection =
                    handed.try_recv().flatten().expect("the other's, when it was done");
                pool.use_and_put(connection);
                return pool.is_whole();
            }
        }
        comes.join().expect("no panic");
        pool.is_whole();
    });
}
