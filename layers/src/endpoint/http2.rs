//! HTTP/2 connections to an endpoint, each shared by the requests of a worker.
//!
//! A connection has a task, which moves its frames and ends it; a request has none. It is sent
//! straight into the connection's queue, and its response comes back through it.

mod drive;
mod exchange;
mod held;
mod watch;

pub(crate) use exchange::Http2Exchange;
pub(crate) use watch::{HeldStream, Http2Stream};

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::sync::Notify;
use tokio::time::Instant;

use self::watch::{Seen, Watched};
use super::http1::next_id;
use super::io::{UpstreamConnection, UpstreamIo};
use super::{ConnectError, Endpoint};
use crate::cluster::ClusterStats;
use crate::lock::lock;

/// Streams that may be opened before the upstream has said how many (Envoy's assumption).
const BEFORE_SETTINGS: u32 = 100;

/// An open HTTP/2 connection.
pub(crate) struct Http2Connection {
    /// Behind a lock rather than cloned for each request, which would take `h2`'s own lock twice.
    send: Mutex<SendRequest<Bytes>>,
    streams: AtomicU32,
    requests: AtomicU32,
    /// What the upstream allows.
    max_streams: AtomicU32,
    /// No more requests go here; it ends with the last stream.
    closed: AtomicBool,
    /// Streams were under way when it ended.
    cut: AtomicBool,
    opened: Instant,
    described: Arc<UpstreamConnection>,
    /// Nanoseconds from `opened` to when the last stream ended.
    idle_since: AtomicU64,
    close: Notify,
    seen: Arc<Seen>,
    stats: Arc<ClusterStats>,
}

/// One stream's hold on its connection.
#[derive(Debug)]
pub(crate) struct Http2Streams(Arc<Http2Connection>);

impl Http2Connection {
    pub(super) async fn handshake(
        io: UpstreamIo,
        owner: Arc<Endpoint>,
    ) -> Result<Arc<Self>, ConnectError> {
        let options = &owner.shared().options;
        let stats = Arc::clone(&owner.shared().stats);
        let seen = Arc::new(Seen::new(Arc::clone(&stats)));
        let described = Arc::new(io.describe(next_id()));
        let io = Watched::new(io, Arc::clone(&stats), Arc::clone(&seen));
        let (send, connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(options.http2_stream_window)
            .initial_connection_window_size(options.http2_connection_window)
            .initial_max_send_streams(BEFORE_SETTINGS as usize)
            .max_header_list_size(MAX_HEAD)
            .handshake(io)
            .await
            .map_err(|error| ConnectError::Http2(error.into()))?;
        let this = Arc::new(Self {
            send: Mutex::new(send),
            streams: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            max_streams: AtomicU32::new(BEFORE_SETTINGS),
            closed: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            opened: Instant::now(),
            described,
            idle_since: AtomicU64::new(0),
            close: Notify::new(),
            seen,
            stats,
        });
        tokio::spawn(drive::drive(connection, Arc::clone(&this), owner));
        Ok(this)
    }

    /// Expects as many streams to be allowed as on another connection to the same endpoint, until
    /// the upstream says how many.
    pub(super) fn expect_as(&self, other: &Self) {
        let limit = other.max_streams.load(Ordering::Relaxed);
        self.max_streams.fetch_min(limit, Ordering::Relaxed);
    }

    /// Takes a place for one more stream, if there is one.
    pub(super) fn take_stream(
        self: &Arc<Self>,
        options: &super::ConnectionOptions,
    ) -> Option<Http2Streams> {
        if self.closed.load(Ordering::Acquire) {
            return None;
        }
        let limit = options.http2_max_streams.min(self.max_streams.load(Ordering::Relaxed));
        if self.streams.fetch_add(1, Ordering::AcqRel) >= limit {
            self.streams.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        let requests = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if options.max_requests.is_some_and(|max| requests >= max) {
            self.stats.cx_max_requests.increment(1);
            self.closed.store(true, Ordering::Release);
        }
        self.stats.http2().streams_active.increment(1.0);
        Some(Http2Streams(Arc::clone(self)))
    }

    /// Ends the connection once its streams have; at once if it has none.
    pub(super) fn close_when_idle(&self) {
        self.closed.store(true, Ordering::Release);
        if self.streams.load(Ordering::Acquire) == 0 {
            self.close.notify_one();
        }
    }

    /// Ends the connection for what the upstream sent on it.
    fn abort(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            self.stats.cx_protocol_error.increment(1);
        }
        self.close.notify_one();
    }

    /// Since when it has had no stream.
    fn idle_since(&self) -> Option<Instant> {
        if self.streams.load(Ordering::Acquire) > 0 {
            return None;
        }
        Some(self.opened + Duration::from_nanos(self.idle_since.load(Ordering::Relaxed)))
    }

    fn sender(&self) -> MutexGuard<'_, SendRequest<Bytes>> {
        lock(&self.send)
    }
}

/// Envoy takes heads of any size from upstreams that are trusted; here they have an end.
const MAX_HEAD: u32 = 1 << 20;

impl Http2Streams {
    /// What there is to tell of the connection.
    pub(crate) fn described(&self) -> &Arc<UpstreamConnection> {
        &self.0.described
    }

    fn connection(&self) -> &Http2Connection {
        &self.0
    }

    fn stats(&self) -> &ClusterStats {
        &self.0.stats
    }
}

impl Drop for Http2Streams {
    fn drop(&mut self) {
        let connection = &self.0;
        connection.stats.http2().streams_active.decrement(1.0);
        let idle = u64::try_from(connection.opened.elapsed().as_nanos()).unwrap_or(u64::MAX);
        connection.idle_since.store(idle, Ordering::Relaxed);
        let before = connection.streams.fetch_sub(1, Ordering::AcqRel);
        if before == 1 && connection.closed.load(Ordering::Acquire) {
            connection.close.notify_one();
        }
    }
}

impl fmt::Debug for Http2Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Connection").field("streams", &self.streams).finish_non_exhaustive()
    }
}
