//! One endpoint of a cluster: its address, its counters and its connections.
//!
//! An endpoint keeps its connections in shards, one for each worker, so a connection stays on the
//! core that opened it and no lock is fought over (see [`crate::worker`]). HTTP/1 connections lie
//! in a last-in-first-out list and belong to one request at a time, which drives them itself;
//! HTTP/2 connections are shared.
//!
//! An endpoint outlives changes of its cluster's membership as long as its address stays: its
//! connections and counters stay with it. One that left closes its idle connections at once and
//! the others when their request has ended.

mod connect;
mod free_list;
mod http1;
#[cfg_attr(not(feature = "http2"), path = "endpoint/http2_absent.rs")]
mod http2;
mod io;
mod pool;
mod shared_list;
// Public with the feature `rustls`.
#[cfg(feature = "tls")]
#[cfg_attr(not(feature = "rustls"), allow(dead_code, unreachable_pub))]
mod tls;
#[cfg(feature = "tls")]
mod tls_from_pem;
mod tunnel;
mod waker;

pub use connect::{ConnectError, Connector};
pub(crate) use http1::{Http1Connection, SendError};
pub(crate) use http2::{HeldStream, Http2Exchange, Http2Stream, Http2Streams};
pub(crate) use io::{UpstreamConnection, UpstreamIo};
pub(crate) use pool::{Checkout, Connected, Connecting, Waiter};
#[cfg(feature = "rustls")]
pub use tls::SharedClientConfig;
#[cfg(feature = "tls")]
pub use tls_from_pem::{Tls, TlsError};
pub(crate) use tunnel::TunnelConnection;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::Version;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use crate::cluster::{ClusterStats, HealthOptions, Inner, Resources};
use crate::discover::{Checking, Locality, Member};
use crate::health::{HealthCell, HealthFlag, HealthFlags};
use crate::outlier::{Detector, Followed, Monitor, Outcome};

/// What the connections of all endpoints of a cluster have in common.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// Which protocol is spoken.
    pub protocol: Protocol,
    /// How long a connection may take to be made. Default 5 s.
    pub connect_timeout: Duration,
    /// How long a connection may lie idle. Default 1 h; `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// Requests after which a connection is closed. Default none.
    pub max_requests: Option<u32>,
    /// How long a connection may live; it is then used no more. Default none.
    pub max_duration: Option<Duration>,
    /// Title-Case header names on HTTP/1. Default off.
    pub title_case_headers: bool,
    /// The whole URL in the request line on HTTP/1. Default off.
    pub absolute_form: bool,
    /// Trailers on HTTP/1, both ways; without it they are dropped. Default off.
    pub http1_trailers: bool,
    /// HTTP/2: streams on one connection. Default 1024, less where the upstream says so.
    pub http2_max_streams: u32,
    /// HTTP/2: window of a stream in bytes. Default 16 MiB.
    pub http2_stream_window: u32,
    /// HTTP/2: window of a connection in bytes. Default 24 MiB.
    pub http2_connection_window: u32,
    /// HTTP/2: interval and timeout of pings. Default none.
    pub http2_keepalive: Option<(Duration, Duration)>,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            protocol: Protocol::Http1,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Some(Duration::from_secs(3600)),
            max_requests: None,
            max_duration: None,
            title_case_headers: false,
            absolute_form: false,
            http1_trailers: false,
            http2_max_streams: 1024,
            http2_stream_window: 16 << 20,
            http2_connection_window: 24 << 20,
            http2_keepalive: None,
        }
    }
}

/// The protocol spoken to endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2; over plain text with prior knowledge.
    #[cfg(feature = "http2")]
    Http2,
    /// What ALPN agrees on; HTTP/1.1 without TLS.
    #[cfg(feature = "http2")]
    Auto,
}

impl Protocol {
    /// What every connection begins to speak; `None` where ALPN says.
    fn version(self) -> Option<Version> {
        match self {
            Self::Http1 => Some(Version::HTTP_11),
            #[cfg(feature = "http2")]
            Self::Http2 => Some(Version::HTTP_2),
            #[cfg(feature = "http2")]
            Self::Auto => None,
        }
    }
}

/// One endpoint of a cluster.
pub struct Endpoint {
    address: SocketAddr,
    hostname: Arc<str>,
    weight: AtomicU32,
    locality: Option<Arc<Locality>>,
    priority: AtomicU32,
    health: HealthCell,
    checking: Option<Arc<Checking>>,
    /// It has had its first health check.
    seen: AtomicBool,
    closed: AtomicBool,
    /// Told when its connections are given up.
    failure: Arc<Notify>,
    /// When that was last, in nanoseconds of its life.
    drained: AtomicU64,
    born: Instant,
    /// What outlier detection counts, where it is on.
    monitor: Option<Box<Monitor>>,
    shared: Arc<Shared>,
    stats: EndpointStats,
    shards: Box<[pool::Shard]>,
}

/// What all endpoints of a cluster share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: ConnectionOptions,
    pub(crate) connector: Connector,
    pub(crate) stats: Arc<ClusterStats>,
    pub(crate) resources: Arc<Resources>,
    pub(crate) health: HealthOptions,
    /// Endpoints are checked, and have failed until then.
    pub(crate) checked: bool,
    pub(crate) outlier: Option<Arc<Followed>>,
    /// The cluster that they belong to.
    pub(crate) cluster: Weak<Inner>,
    pub(crate) shards: usize,
}

/// The counters that `/clusters` shows for each endpoint.
#[derive(Debug, Default)]
#[allow(missing_docs)] // Envoy's names
pub struct EndpointStats {
    pub cx_active: AtomicU64,
    pub cx_connect_fail: AtomicU64,
    pub cx_total: AtomicU64,
    pub rq_active: AtomicU64,
    pub rq_error: AtomicU64,
    pub rq_success: AtomicU64,
    pub rq_timeout: AtomicU64,
    pub rq_total: AtomicU64,
}

impl Endpoint {
    pub(crate) fn new(member: &Member, shared: Arc<Shared>) -> Arc<Self> {
        let shards = (0..shared.shards.max(1)).map(|_| pool::Shard::default()).collect();
        let health = HealthCell::default();
        health.follow(member.status);
        let unchecked = member.checking.as_ref().is_some_and(|checking| checking.disabled);
        if shared.checked && !unchecked {
            health.set(HealthFlag::FailedActiveHc);
            if shared.health.ignore_new_until_checked {
                health.set(HealthFlag::PendingActiveHc);
            }
        }
        Arc::new(Self {
            address: member.address,
            hostname: Arc::clone(&member.hostname),
            weight: AtomicU32::new(member.weight.max(1)),
            locality: member.locality.clone(),
            priority: AtomicU32::new(member.priority),
            health,
            checking: member.checking.clone(),
            seen: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            failure: Arc::default(),
            drained: AtomicU64::new(0),
            born: Instant::now(),
            monitor: shared.outlier.as_ref().map(|settings| Box::new(Monitor::new(settings))),
            shared,
            stats: EndpointStats::default(),
            shards,
        })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The name that it was found by, or its address where there is none.
    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    /// Its share of the requests.
    pub fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    /// Where it is, where that is known.
    pub fn locality(&self) -> Option<&Locality> {
        self.locality.as_deref()
    }

    /// Its priority; 0 is used first.
    pub fn priority(&self) -> u32 {
        self.priority.load(Ordering::Relaxed)
    }

    /// What is known of its health.
    pub fn health(&self) -> HealthFlags {
        self.health.load()
    }

    pub(crate) fn flags(&self) -> &HealthCell {
        &self.health
    }

    /// How it is checked, where that is special.
    pub fn checking(&self) -> Option<&Checking> {
        self.checking.as_deref()
    }

    /// Whether active health checks look after it.
    pub(crate) fn is_checked(&self) -> bool {
        self.shared.checked && !self.checking().is_some_and(|checking| checking.disabled)
    }

    pub(crate) fn set_checked(&self) {
        self.seen.store(true, Ordering::Release);
    }

    /// Whether its first health check is to come.
    pub(crate) fn awaits_check(&self) -> bool {
        self.is_checked() && !self.is_closed() && !self.seen.load(Ordering::Acquire)
    }

    pub(crate) fn monitor(&self) -> Option<&Monitor> {
        self.monitor.as_deref()
    }

    /// Counts what became of a request, for outlier detection.
    #[inline]
    pub(crate) fn report(self: &Arc<Self>, outcome: Outcome) {
        Detector::report(self, outcome);
    }

    /// It took too long for a request.
    pub(crate) fn timed_out(self: &Arc<Self>) {
        EndpointStats::raise(&self.stats.rq_timeout);
        self.report(Outcome::TimedOut);
    }

    /// The rate of successes in the latest interval of outlier detection, in percent, and the same
    /// for failures on this side. `None` where there were not enough requests.
    pub fn success_rates(&self) -> (Option<f64>, Option<f64>) {
        self.monitor().map_or((None, None), Monitor::rates)
    }

    /// Its counters.
    pub fn stats(&self) -> &EndpointStats {
        &self.stats
    }

    /// Takes over what may change of a member. True if something has.
    pub(crate) fn follow(&self, member: &Member) -> bool {
        let weight = member.weight.max(1);
        let reweighted = self.weight.swap(weight, Ordering::Relaxed) != weight;
        let moved = self.priority.swap(member.priority, Ordering::Relaxed) != member.priority;
        let told = self.health.follow(member.status);
        let returned = self.health.clear(HealthFlag::PendingDynamicRemoval);
        reweighted || moved || told || returned
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Ready when it fails, where tunnels to it are to end then.
    pub(crate) fn failure(&self) -> Option<OwnedNotified> {
        let ends = self.shared.health.close_connections_on_failure;
        ends.then(|| Arc::clone(&self.failure).notified_owned())
    }

    /// Gives up the connections that there are, as they may be what makes it fail: idle ones now,
    /// others after their request.
    pub(crate) fn drain(&self) {
        self.failure.notify_waiters();
        let age = u64::try_from(self.born.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.drained.store(age.max(1), Ordering::Release);
        for shard in &self.shards {
            shard.close();
        }
    }

    /// Whether a connection of that time was given up since.
    fn has_drained(&self, opened: Instant) -> bool {
        let drained = self.drained.load(Ordering::Acquire);
        drained > 0 && opened <= self.born + Duration::from_nanos(drained)
    }

    /// The endpoint has left its cluster: idle connections close now, others after their request.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for shard in &self.shards {
            shard.close();
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", &self.address)
            .field("hostname", &self.hostname)
            .field("weight", &self.weight())
            .finish_non_exhaustive()
    }
}
