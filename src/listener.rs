//! Listeners: sockets, and what is done with each connection that comes in on one.

mod accept;
mod bind;
mod build;
mod client_certificate;
mod stats;

pub(crate) use accept::accept;
pub(crate) use bind::{BindError, Sharing, bind};
pub(crate) use build::{Surroundings, filter_chains, stats_scope};
pub(crate) use stats::ListenerStats;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use front_proxy_layers::access_log::AccessLogger;
use front_proxy_layers::http_connection_manager::HttpConnectionManager;
use front_proxy_layers::runtime::Key;
use front_proxy_layers::stats::{DownstreamStats, ListenerCodes};

use crate::config::model::{self, ConnectionTimeouts};
use crate::connection::http1::GateConfig;
use crate::connection::{Http1Stats, Http2Stats};
use crate::tls::Downstream;

/// A listener as its workers see it.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) stats: ListenerStats,
    pub(crate) connection_limit: Option<Key>,
    pub(crate) inbound: bool,
    /// Connections over all workers, for the limit.
    pub(crate) connections: AtomicU64,
    pub(crate) chains: Vec<Arc<FilterChain>>,
}

/// What serves a connection.
pub(crate) struct FilterChain {
    /// `None` where it was given none.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) server_names: Vec<String>,
    pub(crate) tls: Option<Arc<Downstream>>,
    pub(crate) http: Arc<model::HttpConnectionManager>,
    pub(crate) manager: HttpConnectionManager,
    pub(crate) access_logs: Arc<[AccessLogger]>,
    pub(crate) stats: Arc<DownstreamStats>,
    pub(crate) listener_codes: Arc<ListenerCodes>,
    /// `http1.*` and `http2.*`, which all listeners share.
    pub(crate) http1_stats: Http1Stats,
    pub(crate) http2_stats: Http2Stats,
    /// The limits of HTTP/1, as its gate wants them.
    pub(crate) gate: Arc<GateConfig>,
    /// How long a client may take nothing of an answer: the longest idle timeout of any route.
    pub(crate) stall_timeout: Option<Duration>,
}

impl FilterChain {
    pub(crate) fn timeouts(&self) -> &ConnectionTimeouts {
        &self.http.timeouts
    }
}

impl std::fmt::Debug for FilterChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilterChain")
            .field("server_names", &self.server_names)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}
