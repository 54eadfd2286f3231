//! What is counted while a connection is open: `http.<prefix>.downstream_cx_*`.

use std::sync::Arc;

use front_proxy_layers::stats::DownstreamStats;
use tokio::time::Instant;

use super::http1::Protocol;

/// A connection of a connection manager, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    stats: Arc<DownstreamStats>,
    began: Instant,
    tls: bool,
    protocol: Option<Protocol>,
    closed_by_client: bool,
    requests_active: bool,
    /// It was not who closed the connection that ended them.
    cut_by_proxy: bool,
}

impl OpenConnection {
    /// Counts it. Until it is said who closed it, that is the client.
    pub(crate) fn new(stats: &Arc<DownstreamStats>, tls: bool) -> Self {
        stats.cx_total.increment(1);
        stats.cx_active.increment(1.0);
        if tls {
            stats.cx_ssl_total.increment(1);
            stats.cx_ssl_active.increment(1.0);
        }
        Self {
            stats: Arc::clone(stats),
            began: Instant::now(),
            tls,
            protocol: None,
            closed_by_client: true,
            requests_active: false,
            cut_by_proxy: false,
        }
    }

    /// Counts the protocol, once it is known: with the first byte of a request.
    pub(super) fn speaks(&mut self, protocol: Protocol) {
        if self.protocol.is_some() {
            return;
        }
        self.protocol = Some(protocol);
        match protocol {
            Protocol::Http1 => {
                self.stats.cx_http1_total.increment(1);
                self.stats.cx_http1_active.increment(1.0);
            }
            Protocol::Http2 => {
                self.stats.cx_http2_total.increment(1);
                self.stats.cx_http2_active.increment(1.0);
            }
        }
    }

    /// Counts it where HTTP/1 is all that is spoken.
    pub(crate) fn speaks_http1(&mut self) {
        self.speaks(Protocol::Http1);
    }

    /// Who closed it.
    pub(crate) fn closed_by_client(&mut self, by_client: bool) {
        self.closed_by_client = by_client;
    }

    /// Requests were under way when it closed.
    pub(super) fn requests_active(&mut self, active: bool) {
        self.requests_active = active;
    }

    /// They were ended before it closed.
    pub(super) fn cut_requests(&mut self) {
        self.cut_by_proxy = true;
    }

    pub(super) fn stats(&self) -> &DownstreamStats {
        &self.stats
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let stats = &self.stats;
        stats.cx_active.decrement(1.0);
        if self.tls {
            stats.cx_ssl_active.decrement(1.0);
        }
        match self.protocol {
            Some(Protocol::Http1) => stats.cx_http1_active.decrement(1.0),
            Some(Protocol::Http2) => stats.cx_http2_active.decrement(1.0),
            None => {}
        }
        stats.cx_destroy.increment(1);
        if self.closed_by_client {
            stats.cx_destroy_remote.increment(1);
        } else {
            stats.cx_destroy_local.increment(1);
        }
        if self.requests_active {
            stats.cx_destroy_active_rq.increment(1);
            if self.closed_by_client && !self.cut_by_proxy {
                stats.cx_destroy_remote_active_rq.increment(1);
            } else {
                stats.cx_destroy_local_active_rq.increment(1);
            }
        }
        stats.cx_length_ms.record_time(self.began.elapsed());
    }
}
