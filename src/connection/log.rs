//! What a connection adds to the access logs of its requests.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use front_proxy_layers::access_log::{AccessLogger, ClientFault, ConnectionEnd, Fault, log_all};
use front_proxy_layers::response_flags::ResponseFlag;
use front_proxy_layers::stream_info::{DownstreamConnection, RequestHead, StreamInfo};
use http::{HeaderMap, HeaderValue, Method, Uri, Version, header};

use super::Downstream;
use super::http1::{GateState, Refusal};
use crate::listener::FilterChain;

/// The loggers of a connection and what they can know of it; nothing where nobody asks.
#[derive(Debug)]
pub(super) struct ConnectionLog {
    loggers: Arc<[AccessLogger]>,
    connection: Option<Arc<DownstreamConnection>>,
}

/// What logs tell of a connection beyond its peer. Looked up only where there is a log.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoggedConnection {
    pub(crate) local: Option<SocketAddr>,
    pub(crate) tls_version: Option<&'static str>,
    pub(crate) tls_cipher: Option<String>,
    pub(crate) server_name: Option<Box<str>>,
}

/// Numbers connections over the whole process.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

impl ConnectionLog {
    pub(super) fn new(chain: &FilterChain, downstream: &Downstream) -> Self {
        let loggers = Arc::clone(&chain.access_logs);
        if !chain.manager.is_observed() {
            return Self { loggers, connection: None };
        }
        let logged = downstream.logged.as_deref().cloned().unwrap_or_default();
        let connection = DownstreamConnection {
            local_address: logged.local,
            remote_address: Some(downstream.peer),
            tls_version: logged.tls_version.map(Into::into),
            tls_cipher: logged.tls_cipher.map(Into::into),
            server_name: logged.server_name,
            id: Some(CONNECTIONS.fetch_add(1, Ordering::Relaxed)),
            filter_chain: chain.name.clone(),
        };
        Self { loggers, connection: Some(Arc::new(connection)) }
    }

    /// What the connection's requests are told of it.
    pub(super) fn connection(&self) -> Option<Arc<DownstreamConnection>> {
        self.connection.clone()
    }

    /// Where logs go, if there are any.
    fn logged(&self) -> Option<(&Arc<[AccessLogger]>, &Arc<DownstreamConnection>)> {
        let connection = self.connection.as_ref().filter(|_| !self.loggers.is_empty())?;
        Some((&self.loggers, connection))
    }

    /// Logs a request that was refused before any layer saw it; `since` is when its head began.
    pub(super) fn refused(&self, refusal: &Refusal, since: Option<Instant>) {
        let Some((loggers, connection)) = self.logged() else {
            return;
        };
        if refusal.head_seen {
            return;
        }
        let info = StreamInfo::new(Arc::clone(connection), Version::HTTP_11).begun(since);
        if let Some(head) = head(refusal) {
            info.set_request(head);
        }
        fault(refusal).note(&info);
        log_all(loggers, &info);
    }
}

impl ConnectionLog {
    /// Logs a request whose client left inside its head, which began at `since`.
    pub(super) fn left_in_head(&self, since: Instant) {
        let flag = ResponseFlag::DownstreamConnectionTermination;
        self.headless(Version::HTTP_11, Some(since), flag, "downstream_remote_disconnect");
    }

    /// Logs a request over HTTP/2 that ended in its head, or for what that is like. Nothing of it is
    /// told.
    pub(super) fn refused_stream(&self, flag: ResponseFlag, details: &'static str) {
        self.headless(Version::HTTP_2, None, flag, details);
    }

    fn headless(
        &self,
        version: Version,
        since: Option<Instant>,
        flag: ResponseFlag,
        details: &'static str,
    ) {
        if let Some((loggers, connection)) = self.logged() {
            let info = StreamInfo::new(Arc::clone(connection), version).begun(since);
            info.flag(flag);
            info.set_details(details);
            log_all(loggers, &info);
        }
    }
}

/// What is known of a refused request. Envoy tells of those that its codec took, and so do we.
fn head(refusal: &Refusal) -> Option<RequestHead> {
    let method = Method::from_bytes(refusal.method.as_ref()?.as_bytes()).ok()?;
    let uri = refusal.target.as_ref()?.parse().unwrap_or_else(|_| Uri::from_static("/"));
    let mut headers = HeaderMap::new();
    if let Some(host) = refusal.host.as_ref().and_then(|host| HeaderValue::from_str(host).ok()) {
        headers.insert(header::HOST, host);
    }
    Some(RequestHead { method, uri, headers })
}

fn fault(refusal: &Refusal) -> Fault {
    let kind = refusal.kind;
    Fault {
        status: kind.status(),
        headers: HeaderMap::clone(&refusal.headers),
        body_len: kind.body().len(),
        details: kind.details(),
        protocol_error: kind.is_protocol_error(),
    }
}

/// Tells the logs of an HTTP/2 connection's requests how it ended.
#[derive(Debug, Default)]
pub(super) struct Http2End(OnceLock<ConnectionEnd>);

impl Http2End {
    /// Said once, before what ended with the connection is dropped.
    pub(super) fn set(&self, end: ConnectionEnd) {
        let _ = self.0.set(end);
    }
}

impl ClientFault for Http2End {
    fn fault(&self) -> Option<Fault> {
        None
    }

    fn connection_end(&self) -> Option<ConnectionEnd> {
        self.0.get().copied()
    }
}

impl ClientFault for GateState {
    fn fault(&self) -> Option<Fault> {
        self.refusal().as_ref().map(fault)
    }
}
