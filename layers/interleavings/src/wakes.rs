//! The waker of a pooled connection: a wake from the runtime at any moment of a request, and of
//! the way back to the pool.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize as Count;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::lock::lock;
use crate::sync::Mutex;
use crate::waker::{ConnectionWaker, Readable, WatcherQueue};

/// A task; how often it was woken. A plain counter: loom need not know of it.
#[derive(Default)]
struct Task(Count);

impl Task {
    fn was_woken(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A socket as the runtime's driver has it: polling it finds it readable or leaves a waker, in one
/// step; what makes it readable takes the waker, and wakes after that.
#[derive(Default)]
struct Socket(Mutex<(bool, Option<Waker>)>);

impl Socket {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new((false, None))))
    }

    fn poll(&self, waker: &Waker) -> bool {
        let mut state = lock(&self.0);
        if !state.0 {
            state.1 = Some(waker.clone());
        }
        state.0
    }

    /// On a thread of its own: bytes come in, or the end does.
    fn become_readable(self: &Arc<Self>) -> thread::JoinHandle<()> {
        let socket = Arc::clone(self);
        thread::spawn(move || {
            let waker = {
                let mut state = lock(&socket.0);
                state.0 = true;
                state.1.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        })
    }
}

fn found(found: bool) -> Poll<()> {
    if found { Poll::Ready(()) } else { Poll::Pending }
}

/// As `Http1Connection::drive`: whether the socket was found readable.
fn drive(connection: &Arc<ConnectionWaker>, socket: &Socket, task: &Arc<Task>) -> bool {
    let task = Waker::from(Arc::clone(task));
    let waker = Waker::from(Arc::clone(connection));
    connection.adopt(&Context::from_waker(&task));
    loop {
        connection.begin();
        if socket.poll(&waker) {
            connection.in_use();
            return true;
        }
        if connection.end() {
            return false;
        }
    }
}

/// The bytes of a response come in while a request polls its connection: either the request sees
/// them in this turn, or its task is woken. Covers a wake before, between and after `begin`, the
/// look at the socket and `end`.
pub fn no_wake_of_a_request_is_lost() {
    loom::model(|| {
        let connection = ConnectionWaker::new(1, Arc::new(WatcherQueue::default()));
        let (socket, task) = (Socket::new(), Arc::new(Task::default()));
        let driver = socket.become_readable();
        let seen = drive(&connection, &socket, &task);
        driver.join().expect("no panic");
        assert!(seen || task.was_woken(), "the request sleeps beside its response");
    });
}

/// The task of a request moves to another thread and polls from there: the wake goes to the new one.
pub fn a_wake_goes_to_the_task_that_polled_last() {
    loom::model(|| {
        let connection = ConnectionWaker::new(1, Arc::new(WatcherQueue::default()));
        let (socket, old, new) = (Socket::new(), Arc::new(Task::default()), Arc::default());
        assert!(!drive(&connection, &socket, &old), "nothing has come yet");
        let driver = socket.become_readable();
        let seen = drive(&connection, &socket, &new);
        driver.join().expect("no panic");
        assert!(seen || new.was_woken(), "only the old task was woken");
    });
}

/// The upstream closes a connection while it goes back to the pool: whoever puts it there sees that,
/// or the watcher is told. Covers a wake before, between and after `idle` and the look at the
/// socket that follows it.
pub fn no_end_of_an_idle_connection_is_missed() {
    loom::model(|| {
        let (queue, watcher) = (Arc::new(WatcherQueue::default()), Arc::new(Task::default()));
        assert!(queue.turn(&Waker::from(Arc::clone(&watcher))).is_empty());
        let connection = ConnectionWaker::new(7, Arc::clone(&queue));
        let (socket, task) = (Socket::new(), Arc::new(Task::default()));
        assert!(!drive(&connection, &socket, &task), "the request has waited here");
        let driver = socket.become_readable();

        // As `Http1Connection::rest`, where hyper has something left to do.
        connection.idle();
        let seen = socket.poll(&Waker::from(connection));
        driver.join().expect("no panic");
        let told = watcher.was_woken() && queue.turn(Waker::noop()) == [7];
        assert!(seen || told, "a dead connection lies in the pool");
    });
}

/// The same where the end of a response came along with its head: nobody looks at the socket again
/// unless the runtime has told.
pub fn no_end_is_missed_where_nobody_looks_again() {
    loom::model(|| {
        let (queue, watcher) = (Arc::new(WatcherQueue::default()), Arc::new(Task::default()));
        assert!(queue.turn(&Waker::from(Arc::clone(&watcher))).is_empty());
        let connection = ConnectionWaker::new(7, Arc::clone(&queue));
        let readable = Readable::new(Arc::clone(&connection));
        let waker = Waker::from(Arc::clone(&readable));
        let socket = Socket::new();
        let look = || readable.read(&waker, |cx| found(socket.poll(cx.waker()))).is_ready();
        // As `Http1Connection::drive`: the head was there, and nothing behind the body.
        connection.begin();
        assert!(!look(), "nothing has come yet");
        let driver = socket.become_readable();
        connection.in_use();
        // As `poll_body`.
        connection.begin();
        connection.in_use();
        // As `rest`.
        connection.idle();
        let seen = readable.is_told() && look();
        driver.join().expect("no panic");
        let told = watcher.was_woken() && queue.turn(Waker::noop()) == [7];
        assert!(seen || told, "a dead connection lies in the pool");
    });
}

/// Bytes come in while they are looked for, twice: either a look finds them, or the task is woken, and
/// they are found then.
pub fn what_comes_is_read_or_told() {
    loom::model(|| {
        let connection = ConnectionWaker::new(7, Arc::new(WatcherQueue::default()));
        let readable = Readable::new(Arc::clone(&connection));
        let waker = Waker::from(Arc::clone(&readable));
        let (socket, task) = (Socket::new(), Arc::new(Task::default()));
        connection.adopt(&Context::from_waker(&Waker::from(Arc::clone(&task))));
        let driver = socket.become_readable();
        let look = || readable.read(&waker, |cx| found(socket.poll(cx.waker()))).is_ready();
        let seen = look() || look();
        driver.join().expect("no panic");
        assert!(seen || task.was_woken(), "nobody is told");
        assert!(look(), "what was told is not looked for");
    });
}

/// The upstream closes an idle connection while the watcher has its turn: it sees that in this turn, or
/// is woken for another one. Covers a wake before, between and after its registration and its look.
pub fn the_watcher_sleeps_beside_no_end() {
    loom::model(|| {
        let (queue, watcher) = (Arc::new(WatcherQueue::default()), Arc::new(Task::default()));
        let connection = ConnectionWaker::new(7, Arc::clone(&queue));
        let socket = Socket::new();
        connection.idle();
        assert!(!socket.poll(&Waker::from(connection)), "nothing has come yet");
        let driver = socket.become_readable();
        let mut seen = queue.turn(&Waker::from(Arc::clone(&watcher)));
        driver.join().expect("no panic");
        if watcher.was_woken() {
            seen.extend(queue.turn(Waker::noop()));
        }
        assert_eq!(seen, [7], "a dead connection lies in the pool");
    });
}

/// The endpoint leaves while the watcher has its turn: the watcher sees that, or is woken to see it.
pub fn the_watcher_ends_with_its_endpoint() {
    loom::model(|| {
        let (queue, watcher) = (Arc::new(WatcherQueue::default()), Arc::new(Task::default()));
        let endpoint = Arc::new(AtomicBool::new(true));
        let leaves = {
            let (queue, endpoint) = (Arc::clone(&queue), Arc::clone(&endpoint));
            thread::spawn(move || {
                endpoint.store(false, Ordering::Release);
                // As `Shard` does when it is dropped.
                queue.wake();
            })
        };
        queue.turn(&Waker::from(Arc::clone(&watcher)));
        let seen = !endpoint.load(Ordering::Acquire);
        leaves.join().expect("no panic");
        assert!(seen || watcher.was_woken(), "it watches nothing for ever");
    });
}

/// A request takes an idle connection at the moment at which its socket wakes: that the watcher is
/// told would not do, for the connection is not its any more.
pub fn no_wake_is_lost_on_the_way_out_of_the_pool() {
    loom::model(|| {
        let connection = ConnectionWaker::new(7, Arc::new(WatcherQueue::default()));
        let (socket, task) = (Socket::new(), Arc::new(Task::default()));
        connection.idle();
        assert!(!socket.poll(&Waker::from(Arc::clone(&connection))), "nothing has come yet");
        let driver = socket.become_readable();

        // `Http1Connection::start`, then `drive`.
        connection.in_use();
        let seen = drive(&connection, &socket, &task);
        driver.join().expect("no panic");
        assert!(seen || task.was_woken(), "the request is not told");
    });
}
