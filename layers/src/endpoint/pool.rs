//! The connections of one endpoint on one worker.

mod connecting;
mod making;
mod watcher;

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::Version;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

pub(crate) use self::connecting::Connecting;
use self::making::Making;
use self::watcher::Watcher;
use super::free_list::{FreeList, Handed, Taken};
use super::http1::{ClosedBy, Http1Connection, close_stats};
use super::http2::{Http2Connection, Http2Streams};
use super::io::UpstreamIo;
use super::shared_list::{Shared, SharedList};
use super::tunnel::TunnelConnection;
use super::waker::WatcherQueue;
use super::{ConnectError, Endpoint, EndpointStats};
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
    http2: SharedList<Arc<Http2Connection>, Http2Streams, Arc<ConnectError>>,
}

/// What a request gets from the pool.
#[derive(Debug)]
pub(crate) enum Checkout {
    /// A kept connection, all its own.
    Http1(Box<Http1Connection>),
    /// A place on a shared connection.
    Http2(Http2Streams),
    /// Nothing: make a connection with [`Endpoint::connect`].
    Connect(Place),
    /// Nothing: wait for one, as no more may be made or one is made that nobody needs.
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
    over: bool,
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
        let version = shared.options.protocol.version();
        if version != Some(Version::HTTP_11) {
            let stream = state.http2.stream(|connection| connection.take_stream(&shared.options));
            if let Some(stream) = stream {
                return Checkout::Http2(stream);
            }
            if version == Some(Version::HTTP_2) {
                return Checkout::Connect(place(false, false));
            }
        }
        let may_open = shared.resources.connections.is_free();
        match state.http1.take(|connection| connection.is_open(), may_open, again) {
            Taken::Free(connection) => Checkout::Http1(connection),
            Taken::Place { over } => Checkout::Connect(place(true, over)),
            Taken::Queued { handed, over } => {
                let endpoint = Arc::clone(self);
                Checkout::Wait(Waiter { handed, endpoint, home, over, done: false })
            }
        }
    }

    /// Makes a connection.
    pub(crate) fn connect(self: &Arc<Self>, place: Place) -> Connecting {
        Connecting::new(self, place)
    }

    async fn connect_at(self: Arc<Self>, mut place: Place) -> Result<Connected, Arc<ConnectError>> {
        let home = place.home;
        if self.shared().options.protocol.version() == Some(Version::HTTP_2) {
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
            let options = &self.shared().options;
            let shared = lock(&self.shards[home].state)
                .http2
                .stream_or_wait(|connection| connection.take_stream(options));
            let made = match shared {
                Shared::Stream(stream) => return Ok(Connected::Http2(stream)),
                Shared::Queued { made, make } => {
                    if make {
                        tokio::spawn(Making::new(Arc::clone(&self), home).run());
                    }
                    made
                }
            };
            match made.await {
                Ok(Ok(Some(stream))) => return Ok(Connected::Http2(stream)),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => return Err(error),
                // Whoever made it has ended without a word.
                Err(_) => return Err(Arc::new(ConnectError::Timeout)),
            }
        }
        Err(Arc::new(ConnectError::Timeout))
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
            state.http2.add(Arc::clone(&connection));
            // Whoever waits for an HTTP/1 connection can have a stream.
            state.http1.wake_all();
        }
        self.close_if_left(&connection);
        stream
    }

    #[cfg_attr(not(feature = "http2"), allow(dead_code))]
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
        let said = shared.options.protocol.version();
        match said {
            _ if home.is_none() => {}
            Some(Version::HTTP_2) => stats.speaks_http2(),
            Some(_) => stats.speaks_http1(),
            // Known after the handshake.
            None => {}
        }
        let mut attempt = Attempt { endpoint: self, began, done: false, failed: None };

        let opened = timeout(shared.options.connect_timeout, async {
            let io = shared.connector.connect(self.address, Arc::clone(stats)).await?;
            let http2 = said.map_or_else(|| io.negotiated_http2(), |said| said == Version::HTTP_2);
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
                match (said, &opened) {
                    (None, Opened::Http1(_)) => stats.speaks_http1(),
                    (None, Opened::Http2(_)) => stats.speaks_http2(),
                    _ => {}
                }
                stats.cx_connect_ms.record_time(began.elapsed());
                Ok(opened)
            }
            Err(error) => {
                attempt.failed = Some(error.closed_by());
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
            tokio::spawn(Watcher::new(self, home, Arc::clone(&shard.watcher)).run());
        }
    }
}

impl Shard {
    /// Closes what is idle. Connections in use see that their endpoint is closed when they return.
    pub(super) fn close(&self) {
        let (idle, http2) = {
            let mut state = lock(&self.state);
            (state.http1.clear(), state.http2.clear())
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

impl Waiter {
    /// Whether the circuit breaker is open, and not a connection on its way that nobody needs.
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
    /// Who ended it, where it failed.
    failed: Option<ClosedBy>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let shared = self.endpoint.shared();
        if self.failed.is_some() {
            shared.stats.cx_connect_fail.increment(1);
            EndpointStats::raise(&self.endpoint.stats.cx_connect_fail);
        }
        let by_upstream = self.failed == Some(ClosedBy::Upstream);
        close_stats(self.endpoint, by_upstream, false, self.began, 0);
    }
}

impl Endpoint {
    /// Connections of this endpoint that are idle, over all workers.
    pub fn idle_connections(&self) -> usize {
        self.shards.iter().map(|shard| lock(&shard.state).http1.idle()).sum()
    }
}
