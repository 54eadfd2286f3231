//! The HTTP/2 connections of a shard: requests on several threads, and the task that makes what they
//! wait for.

use std::sync::Arc;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

use crate::lock::lock;
use crate::shared_list::{Made, Shared, SharedList};
use crate::sync::{Mutex, oneshot};

/// A connection as `Http2Connection` is one: a count of streams, and how many there may be.
struct Connection {
    streams: AtomicU32,
    limit: u32,
}

/// A stream, which goes back when it is dropped.
struct Stream(Arc<Connection>);

impl Connection {
    fn new(limit: u32) -> Arc<Self> {
        Arc::new(Self { streams: AtomicU32::new(0), limit })
    }

    fn take_stream(self: &Arc<Self>) -> Option<Stream> {
        if self.streams.fetch_add(1, Ordering::AcqRel) >= self.limit {
            self.streams.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Stream(Arc::clone(self)))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::AcqRel);
    }
}

type Told = oneshot::Receiver<Made<Stream, &'static str>>;

/// What `endpoint::pool` makes of the list: a lock around it.
struct Pool {
    list: Mutex<SharedList<Arc<Connection>, Stream, &'static str>>,
    /// How many times a connection was made, or tried to be.
    made: AtomicU32,
    limit: u32,
    works: bool,
}

impl Pool {
    fn new(limit: u32, works: bool) -> Arc<Self> {
        let made = AtomicU32::new(0);
        Arc::new(Self { list: Mutex::new(SharedList::default()), made, limit, works })
    }

    fn request(&self) -> Shared<Stream, &'static str> {
        lock(&self.list).stream_or_wait(Connection::take_stream)
    }

    /// As `Making::run`.
    fn make(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
        let connection = self.works.then(|| Connection::new(self.limit));
        let waiting = match &connection {
            Some(connection) => lock(&self.list).made(Arc::clone(connection)),
            None => lock(&self.list).given_up(),
        };
        for waiter in waiting {
            let _ = waiter.send(match &connection {
                Some(connection) => Ok(connection.take_stream()),
                None => Err("nobody listens"),
            });
        }
    }

    /// A request until it has a stream or waits for somebody else to make one. What is to be made, it
    /// makes itself, so that it need not wait for that.
    fn start(&self) -> Outcome {
        match self.request() {
            Shared::Stream(stream) => Outcome::Stream(stream),
            Shared::Queued { made, make } => {
                if make {
                    self.make();
                }
                Outcome::Waits(made)
            }
        }
    }

    fn streams(&self) -> u32 {
        let list = lock(&self.list);
        list.first().map_or(0, |connection| connection.streams.load(Ordering::Acquire))
    }
}

enum Outcome {
    Stream(Stream),
    Waits(Told),
}

impl Outcome {
    /// What it has come to, now that nothing goes on any more.
    fn end(self) -> Made<Stream, &'static str> {
        match self {
            Self::Stream(stream) => Ok(Some(stream)),
            Self::Waits(mut told) => told.try_recv().expect("nobody waits for what nobody makes"),
        }
    }
}

fn on_a_thread(pool: &Arc<Pool>) -> thread::JoinHandle<Outcome> {
    let pool = Arc::clone(pool);
    thread::spawn(move || pool.start())
}

/// Three requests, no connection yet: one is made, and all have a stream of it. Covers a request that
/// comes before, while and after those who waited are told.
pub fn one_connection_is_made_for_all_who_want_it() {
    loom::model(|| {
        let pool = Pool::new(3, true);
        let others = [on_a_thread(&pool), on_a_thread(&pool)];
        let own = pool.start();
        let others = others.map(|other| other.join().expect("no panic"));
        let streams: Vec<_> = others.into_iter().chain([own]).map(Outcome::end).collect();
        assert!(streams.iter().all(|stream| matches!(stream, Ok(Some(_)))));
        assert_eq!(pool.made.load(Ordering::Relaxed), 1, "one does for all");
        assert_eq!(pool.streams(), 3);
        drop(streams);
        assert_eq!(pool.streams(), 0, "all were given back");
    });
}

/// The upstream allows one stream, and two requests want one: whoever gets none is told to look again,
/// or makes the next connection itself. Nobody is left waiting.
pub fn whoever_gets_no_stream_is_told() {
    loom::model(|| {
        let pool = Pool::new(1, true);
        let other = on_a_thread(&pool);
        let own = pool.start();
        let other = other.join().expect("no panic");
        let got = [own.end(), other.end()];
        let streams = got.iter().filter(|got| matches!(got, Ok(Some(_)))).count();
        let made = pool.made.load(Ordering::Relaxed) as usize;
        assert_eq!(streams, made, "each connection has one stream, and somebody has it");
    });
}

/// No connection can be made: all who waited for it are told so, and whoever comes after that tries
/// anew rather than wait for nobody.
pub fn a_failure_is_everybodys() {
    loom::model(|| {
        let pool = Pool::new(1, false);
        let others = [on_a_thread(&pool), on_a_thread(&pool)];
        let own = pool.start();
        let others = others.map(|other| other.join().expect("no panic"));
        for outcome in others.into_iter().chain([own]) {
            assert!(outcome.end().is_err());
        }
    });
}

/// A request leaves while its stream is handed to it: the stream goes back.
pub fn a_request_that_leaves_takes_no_stream_with_it() {
    loom::model(|| {
        let pool = Pool::new(2, true);
        let Shared::Queued { made: first, make: true } = pool.request() else {
            panic!("there is none yet")
        };
        let Shared::Queued { made: second, make: false } = pool.request() else {
            panic!("it is being made")
        };
        let leaves = thread::spawn(move || drop(first));
        pool.make();
        leaves.join().expect("no panic");
        let stream = Outcome::Waits(second).end();
        assert!(matches!(stream, Ok(Some(_))), "the other one has not left");
        assert_eq!(pool.streams(), 1);
    });
}
