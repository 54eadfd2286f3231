//! The connections of one endpoint on one worker.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use super::free_list::{FreeList, Handed, Taken};
use super::http1::Http1Connection;
use super::http2::{Http2Connection, Http2Streams};
use super::io::UpstreamIo;
use super::tunnel::TunnelConnection;
use super::waker::WatcherQueue;
use super::{ConnectError, ConnectionOptions, Endpoint, EndpointStats, Protocol};
use crate::cluster::ClusterStats;
use crate::lock::lock;

/// A worker's share of an endpoint's connections.
#[derive(Debug, Default)]
pub(super) struct Shard {
    state: Mutex<State>,
    watcher: Arc<WatcherQueue>,
}

#[derive(Debug, Default)]
struct State {
    http1: FreeList<Box<Http1Connection>>,
    watched: bool,
    http2: Vec<Arc<Http2Connection>>,
    /// Requests that wait for the HTTP/2 connection that is being made.
    http2_waiting: Option<Vec<Http2Waiter>>,
}

impl State {
    /// A stream on one of the HTTP/2 connections, if any has room.
    fn take_stream(&self, options: &ConnectionOptions) -> Option<Http2Streams> {
        self.http2.iter().find_map(|connection| connection.take_stream(options))
    }
}

/// Gets a stream of the connection that is being made; none if it has too few for all.
type Http2Waiter = oneshot::Sender<Result<Option<Http2Streams>, Arc<ConnectError>>>;

/// What a request gets from the pool.
#[derive(Debug)]
pub(crate) enum Checkout {
    /// A kept connection, all its own.
    Http1(Box<Http1Connection>),
    /// A place on a shared connection.
    Http2(Http2Streams),
    /// Nothing: make a connection with [`Endpoint::connect`].
    Connect(Place),
    /// Nothing, and no more connections may be made: wait for one.
    Wait(Waiter),
}

/// A place among the open connections of a shard, given up unless a connection was made in it.
#[derive(Debug)]
pub(crate) struct Place {
    endpoint: Arc<Endpoint>,
    home: usize,
    /// HTTP/2 connections are shared and not counted.
    counted: bool,
    over: bool,
}

/// A place in the queue for a connection.
#[derive(Debug)]
pub(crate) struct Waiter {
    handed: oneshot::Receiver<Handed<Box<Http1Connection>>>,
    endpoint: Arc<Endpoint>,
    home: usize,
    done: bool,
}

/// A connection that was made for a request.
#[derive(Debug)]
pub(crate) enum Connected {
    Http1(Box<Http1Connection>),
    Http2(Http2Streams),
}

impl Endpoint {
    /// A kept connection, or what to do instead. A request that has waited before and found
    /// nothing is `again` first in line.
    pub(crate) fn checkout(self: &Arc<Self>, again: bool) -> Checkout {
        let home = crate::worker::index() % self.shards.len();
        let shard = &self.shards[home];
        let shared = self.shared();
        let place = |counted, over| Place { endpoint: Arc::clone(self), home, counted, over };
        let mut state = lock(&shard.state);
        if shared.options.protocol != Protocol::Http1 {
            if let Some(stream) = state.take_stream(&shared.options) {
                return Checkout::Http2(stream);
            }
            if shared.options.protocol == Protocol::Http2 {
                return Checkout::Connect(place(false, false));
            }
        }
        let may_open = shared.resources.connections.is_free();
        match state.http1.take(|connection| connection.is_open(), may_open, again) {
            Taken::Free(connection) => Checkout::Http1(connection),
            Taken::Place { over } => Checkout::Connect(place(true, over)),
            Taken::Queued(handed) => {
                Checkout::Wait(Waiter { handed, endpoint: Arc::clone(self), home, done: false })
            }
        }
    }

    /// Makes a connection.
    pub(crate) async fn connect(
        self: Arc<Self>,
        mut place: Place,
    ) -> Result<Connected, Arc<ConnectError>> {
        let home = place.home;
        if self.shared().options.protocol == Protocol::Http2 {
            return self.connect_http2(home).await;
        }
        match self.open(Some(home)).await.map_err(Arc::new)? {
            Opened::Http1(connection) => {
                place.counted = false;
                self.watch(home);
                Ok(Connected::Http1(connection))
            }
            // ALPN chose: the place among HTTP/1 connections is not needed.
            Opened::Http2(connection) => {
                drop(place);
                match self.adopt_http2(connection, home) {
                    Some(stream) => Ok(Connected::Http2(stream)),
                    None => Err(Arc::new(ConnectError::Timeout)),
                }
            }
            Opened::Tcp(_) => Err(Arc::new(ConnectError::Timeout)),
        }
    }

    /// The HTTP/2 connection is made by a task of its own, once for all requests that want it:
    /// the client of the first may leave, the others still need it.
    async fn connect_http2(self: Arc<Self>, home: usize) -> Result<Connected, Arc<ConnectError>> {
        // Of those that wait, the last may find that it takes one more connection.
        for _ in 0..16 {
            let (tx, rx) = oneshot::channel();
            let start = {
                let mut state = lock(&self.shards[home].state);
                if let Some(stream) = state.take_stream(&self.shared().options) {
                    return Ok(Connected::Http2(stream));
                }
                match &mut state.http2_waiting {
                    Some(waiting) => {
                        waiting.push(tx);
                        false
                    }
                    none => {
                        *none = Some(vec![tx]);
                        true
                    }
                }
            };
            if start {
                tokio::spawn(Arc::clone(&self).make_http2(home));
            }
            match rx.await {
                Ok(Ok(Some(stream))) => return Ok(Connected::Http2(stream)),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(Arc::new(ConnectError::Timeout)),
            }
        }
        Err(Arc::new(ConnectError::Timeout))
    }

    /// Makes an HTTP/2 connection and hands its streams to those that wait.
    async fn make_http2(self: Arc<Self>, home: usize) {
        let made = match self.open(Some(home)).await {
            Ok(Opened::Http2(connection)) => Ok(connection),
            Ok(Opened::Http1(_) | Opened::Tcp(_)) => Err(Arc::new(ConnectError::Timeout)),
            Err(error) => Err(Arc::new(error)),
        };
        let waiting = {
            let mut state = lock(&self.shards[home].state);
            if let Ok(connection) = &made {
                if let Some(other) = state.http2.first() {
                    connection.expect_as(other);
                }
                state.http2.push(Arc::clone(connection));
            }
            state.http2_waiting.take().unwrap_or_default()
        };
        for waiter in waiting {
            let _ = waiter.send(match &made {
                Ok(connection) => Ok(connection.take_stream(&self.shared().options)),
                Err(error) => Err(Arc::clone(error)),
            });
        }
        if let Ok(connection) = &made {
            self.close_if_left(connection);
        }
    }

    /// A connection that was made for an endpoint that left meanwhile serves those that waited for
    /// it, and nobody else.
    fn close_if_left(&self, connection: &Http2Connection) {
        if self.is_closed() {
            connection.close_when_idle();
        }
    }

    fn adopt_http2(&self, connection: Arc<Http2Connection>, home: usize) -> Option<Http2Streams> {
        let stream = connection.take_stream(&self.shared().options);
        {
            let mut state = lock(&self.shards[home].state);
            state.http2.push(Arc::clone(&connection));
            // Whoever waits for an HTTP/1 connection can have a stream.
            state.http1.wake_all();
        }
        self.close_if_left(&connection);
        stream
    }

    pub(super) fn forget_http2(&self, connection: &Arc<Http2Connection>) {
        for shard in &self.shards {
            lock(&shard.state).http2.retain(|other| !Arc::ptr_eq(other, connection));
        }
    }

    /// Makes a connection on which no HTTP is spoken: the end of a tunnel.
    pub(crate) async fn connect_tcp(
        self: Arc<Self>,
    ) -> Result<(UpstreamIo, TunnelConnection), Arc<ConnectError>> {
        let opened = Instant::now();
        match self.open(None).await.map_err(Arc::new)? {
            Opened::Tcp(io) => Ok((io, TunnelConnection::tcp(self, opened))),
            Opened::Http1(_) | Opened::Http2(_) => Err(Arc::new(ConnectError::Timeout)),
        }
    }

    /// Opens a connection for the shard `home`, or for none of them, just TCP.
    async fn open(self: &Arc<Self>, home: Option<usize>) -> Result<Opened, ConnectError> {
        let shared = self.shared();
        let stats = &shared.stats;
        let began = Instant::now();
        stats.cx_total.increment(1);
        stats.cx_active.increment(1.0);
        shared.resources.connections.take();
        EndpointStats::raise(&self.stats.cx_total);
        EndpointStats::raise(&self.stats.cx_active);
        // Envoy makes the codec before the connection, except where ALPN has to choose it.
        match shared.options.protocol {
            _ if home.is_none() => {}
            Protocol::Http1 => stats.speaks_http1(),
            Protocol::Http2 => count_http2(stats),
            // Known after the handshake.
            Protocol::Auto => {}
        }
        let mut attempt = Attempt { endpoint: self, began, done: false, failed: false };

        let opened = timeout(shared.options.connect_timeout, async {
            let io = shared.connector.connect(self.address, Arc::clone(stats)).await?;
            let http2 = match shared.options.protocol {
                Protocol::Http1 => false,
                Protocol::Http2 => true,
                Protocol::Auto => io.negotiated_http2(),
            };
            let Some(home) = home else {
                return Ok(Opened::Tcp(io));
            };
            Ok(if http2 {
                Opened::Http2(Http2Connection::handshake(io, Arc::clone(self)).await?)
            } else {
                let watcher = Arc::clone(&self.shards[home].watcher);
                let owner = Arc::clone(self);
                Opened::Http1(Http1Connection::handshake(io, owner, home, watcher).await?)
            })
        })
        .await
        .unwrap_or(Err(ConnectError::Timeout));
        match opened {
            Ok(opened) => {
                attempt.done = true;
                match (shared.options.protocol, &opened) {
                    (Protocol::Auto, Opened::Http1(_)) => stats.speaks_http1(),
                    (Protocol::Auto, Opened::Http2(_)) => count_http2(stats),
                    _ => {}
                }
                stats.cx_connect_ms.record(began.elapsed().as_millis() as f64);
                Ok(opened)
            }
            Err(error) => {
                attempt.failed = true;
                if matches!(error, ConnectError::Timeout) {
                    stats.cx_connect_timeout.increment(1);
                }
                Err(error)
            }
        }
    }

    /// Takes a connection back that is not used any more: its exchange has ended, or it has had
    /// none yet.
    pub(crate) fn give_back(&self, mut connection: Box<Http1Connection>) {
        if !connection.rest() || self.is_closed() || self.has_drained(connection.opened()) {
            return connection.close();
        }
        if connection.is_worn() {
            return connection.close();
        }
        lock(&self.shards[connection.home()].state).http1.put(connection);
    }

    /// Gives up a place among the connections that are open: another may be made.
    pub(super) fn vacate(&self, home: usize) {
        lock(&self.shards[home].state).http1.vacate();
    }

    /// Starts the watcher of this worker's idle connections, unless it runs.
    fn watch(self: &Arc<Self>, home: usize) {
        let shard = &self.shards[home];
        let mut state = lock(&shard.state);
        if !state.watched {
            state.watched = true;
            let watcher =
                Watcher { endpoint: Arc::downgrade(self), home, queue: Arc::clone(&shard.watcher) };
            tokio::spawn(watcher.run());
        }
    }
}

impl Shard {
    /// Closes what is idle. Connections in use see that their endpoint is closed when they return.
    pub(super) fn close(&self) {
        let (idle, http2) = {
            let mut state = lock(&self.state);
            (state.http1.clear(), std::mem::take(&mut state.http2))
        };
        drop(idle);
        for connection in http2 {
            connection.close_when_idle();
        }
    }
}

impl Drop for Shard {
    /// The watcher ends with its endpoint.
    fn drop(&mut self) {
        self.watcher.wake();
    }
}

fn count_http2(stats: &ClusterStats) {
    stats.cx_http2_total.increment(1);
    stats.http2().nghttp2_upstream_connections.increment(1);
}

enum Opened {
    Http1(Box<Http1Connection>),
    Http2(Arc<Http2Connection>),
    Tcp(UpstreamIo),
}

impl Place {
    /// Whether the circuit breaker was open, and the place is the one that there always is.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.counted {
            self.endpoint.vacate(self.home);
        }
    }
}

impl Future for Waiter {
    /// A connection; without one, look again.
    type Output = Option<Box<Http1Connection>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let handed = Pin::new(&mut self.handed).poll(cx);
        self.done |= handed.is_ready();
        handed.map(|handed| handed.unwrap_or(None))
    }
}

impl Drop for Waiter {
    /// What was handed to a request that left meanwhile is the next one's.
    fn drop(&mut self) {
        if self.done {
            return;
        }
        self.handed.close();
        let handed = self.handed.try_recv();
        match handed {
            Ok(Some(connection)) => self.endpoint.give_back(connection),
            Ok(None) => lock(&self.endpoint.shards[self.home].state).http1.wake_one(),
            Err(_) => lock(&self.endpoint.shards[self.home].state).http1.forget_gone(),
        }
    }
}

/// A connection that is being made: counted as failed, or as closed by us when the client left.
struct Attempt<'a> {
    endpoint: &'a Endpoint,
    began: Instant,
    done: bool,
    failed: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let shared = self.endpoint.shared();
        if self.failed {
            shared.stats.cx_connect_fail.increment(1);
            EndpointStats::raise(&self.endpoint.stats.cx_connect_fail);
        }
        super::http1::close_stats(self.endpoint, self.failed, false, self.began, 0);
    }
}

/// Looks after the idle connections of one shard: notices those that the upstream closed, and
/// closes those that were idle for too long.
struct Watcher {
    endpoint: Weak<Endpoint>,
    home: usize,
    queue: Arc<WatcherQueue>,
}

impl Watcher {
    async fn run(self) {
        loop {
            let Some(deadline) = self.endpoint.upgrade().map(|endpoint| self.tend(&endpoint))
            else {
                return;
            };
            let mut sleep = deadline.map(|at| Box::pin(sleep_until(at)));
            poll_fn(|cx: &mut Context<'_>| {
                self.queue.register(cx.waker());
                let Some(endpoint) = self.endpoint.upgrade() else {
                    return Poll::Ready(());
                };
                let woken = self.queue.take();
                for id in woken {
                    self.check(&endpoint, id);
                }
                match &mut sleep {
                    Some(sleep) => sleep.as_mut().poll(cx),
                    None => Poll::Pending,
                }
            })
            .await;
        }
    }

    /// An idle connection was woken: most likely it has been closed.
    fn check(&self, endpoint: &Arc<Endpoint>, id: u64) {
        let shard = &endpoint.shards[self.home];
        let taken = lock(&shard.state).http1.remove(|connection| connection.id() == id);
        let Some(mut connection) = taken else { return };
        if connection.poll_idle() {
            lock(&shard.state).http1.put_cold(connection);
        } else {
            connection.close();
        }
    }

    /// Closes what has been idle or alive for too long. Returns when to look again.
    fn tend(&self, endpoint: &Arc<Endpoint>) -> Option<Instant> {
        let options = &endpoint.shared().options;
        let lives = [options.idle_timeout, options.max_duration];
        if lives.iter().all(Option::is_none) {
            return None;
        }
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let stats = &endpoint.shared().stats;
        let closed = lock(&endpoint.shards[self.home].state).http1.sift(|connection| {
            let idle_end = options.idle_timeout.map(|t| connection.idle_since() + t);
            let life_end = options.max_duration.map(|t| connection.opened() + t);
            let Some(end) = [idle_end, life_end].into_iter().flatten().min() else {
                return true;
            };
            if end > now {
                next = Some(next.map_or(end, |n| n.min(end)));
                return true;
            }
            if idle_end == Some(end) {
                stats.cx_idle_timeout.increment(1);
            } else {
                stats.cx_max_duration_reached.increment(1);
            }
            false
        });
        for connection in closed {
            connection.close();
        }
        // Nothing idle now: whatever becomes idle later can't be due before one whole life.
        next.or_else(|| lives.into_iter().flatten().min().map(|life| now + life))
    }
}

impl Endpoint {
    /// Connections of this endpoint that are idle, over all workers.
    pub fn idle_connections(&self) -> usize {
        self.shards.iter().map(|shard| lock(&shard.state).http1.idle()).sum()
    }
}
