//! A connection that has become a tunnel, as it is counted until its end.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::Endpoint;
use super::http1::{Http1Connection, close_stats};

/// A connection to an endpoint that serves one tunnel; its bytes go elsewhere.
pub(crate) struct TunnelConnection {
    kind: Kind,
}

enum Kind {
    /// It spoke HTTP/1 until the switch; gone only in `drop`.
    Http1(Option<Box<Http1Connection>>),
    /// TCP from the start.
    Tcp { endpoint: Arc<Endpoint>, opened: Instant, by_upstream: bool },
}

impl TunnelConnection {
    pub(crate) fn http1(connection: Box<Http1Connection>) -> Self {
        Self { kind: Kind::Http1(Some(connection)) }
    }

    pub(super) fn tcp(endpoint: Arc<Endpoint>, opened: Instant) -> Self {
        Self { kind: Kind::Tcp { endpoint, opened, by_upstream: false } }
    }

    /// Whether it began as HTTP/1.
    pub(crate) fn is_http1(&self) -> bool {
        matches!(self.kind, Kind::Http1(_))
    }

    /// The upstream ended the tunnel, rather than we.
    pub(crate) fn closed_by_upstream(&mut self) {
        match &mut self.kind {
            Kind::Http1(Some(connection)) => connection.closed_by_upstream(),
            Kind::Http1(None) => {}
            Kind::Tcp { by_upstream, .. } => *by_upstream = true,
        }
    }
}

impl Drop for TunnelConnection {
    fn drop(&mut self) {
        match &mut self.kind {
            Kind::Http1(connection) => {
                if let Some(connection) = connection.take() {
                    connection.close();
                }
            }
            Kind::Tcp { endpoint, opened, by_upstream } => {
                close_stats(endpoint, *by_upstream, true, *opened, 1);
            }
        }
    }
}

impl fmt::Debug for TunnelConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelConnection").field("http1", &self.is_http1()).finish_non_exhaustive()
    }
}
