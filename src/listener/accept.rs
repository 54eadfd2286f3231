//! Accepting connections and handing each to its filter chain.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use front_proxy_layers::runtime::Key;
use front_proxy_layers::stats::Histogram;
use front_proxy_layers::tls_names;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::{FilterChain, Listener, client_certificate};
use crate::connection::{self, Downstream, LoggedConnection, OpenConnection};
use crate::shutdown::Signal;
use crate::workers::OpenConnections;

/// Accepts connections until `signal` says that listeners are closed.
pub(crate) async fn accept(
    worker: usize,
    listener: Arc<Listener>,
    socket: TcpListener,
    mut signal: Signal,
    open: Arc<OpenConnections>,
) {
    signal = signal.inbound(listener.inbound);
    let mut closed = signal.clone();
    let mut closed = std::pin::pin!(closed.closed());
    let mut batch = Batch { size: 0, sizes: &listener.stats.accepted_per_event };
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = poll_fn(|cx| batch.accept(&socket, cx)) => accepted,
            () = &mut closed => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(connection) = AcceptedConnection::admit(worker, &listener) else {
                    continue;
                };
                let open = open.open();
                let signal = signal.clone();
                tokio::spawn(async move {
                    connection.serve(stream, peer, signal).await;
                    drop(open);
                });
            }
            Err(error) if is_connection_error(&error) => {}
            Err(error) => {
                // Out of file descriptors or memory: trying again at once would spin.
                tracing::warn!(%error, listener = listener.name, "can't accept connections");
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(100)) => {}
                    () = signal.closed() => return,
                }
            }
        }
    }
}

/// How many connections come at once.
struct Batch<'a> {
    size: u32,
    sizes: &'a Histogram,
}

impl Batch<'_> {
    fn accept(
        &mut self,
        socket: &TcpListener,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = socket.poll_accept(cx);
        if matches!(accepted, Poll::Ready(Ok(_))) {
            self.size += 1;
        } else if self.size > 0 {
            self.sizes.record(f64::from(std::mem::take(&mut self.size)));
        }
        accepted
    }
}

/// Errors of the one connection that was about to be accepted: the next may be fine.
fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// A connection that counts as one of its listener's, until it is dropped.
struct AcceptedConnection {
    worker: usize,
    listener: Arc<Listener>,
    began: Instant,
}

impl AcceptedConnection {
    /// Counts it; `None` if the listener has as many as it may have.
    fn admit(worker: usize, listener: &Arc<Listener>) -> Option<Self> {
        let before = listener.connections.fetch_add(1, Ordering::Relaxed);
        let limit = listener.connection_limit.as_ref().and_then(Key::integer);
        if limit.is_some_and(|limit| before >= limit) {
            listener.connections.fetch_sub(1, Ordering::Relaxed);
            listener.stats.cx_overflow.increment(1);
            return None;
        }
        let stats = &listener.stats;
        stats.accepted();
        if let Some((total, active)) = stats.workers.get(worker) {
            total.increment(1);
            active.increment(1.0);
        }
        Some(Self { worker, listener: Arc::clone(listener), began: Instant::now() })
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr, signal: Signal) {
        // Answers are written whole: waiting to fill a segment would only add latency.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let chains = &self.listener.chains;
        // One chain without conditions is the rule: no need to look into the handshake for it.
        if let [chain] = &chains[..]
            && chain.server_names.is_empty()
        {
            match &chain.tls {
                None => self.serve_plain(chain, stream, peer, signal).await,
                Some(tls) => {
                    let open = OpenConnection::new(&chain.stats, true);
                    if !self.speaks_tls(&stream).await {
                        return;
                    }
                    let tls = tls.current();
                    let names = chain.http.forward_client_cert.names_certificate();
                    if names && tls.differ_in_uris() {
                        drop(open);
                        return self.choose_by_hello(stream, peer, signal).await;
                    }
                    let handshake = TlsAcceptor::from(Arc::clone(&tls.config)).accept(stream);
                    self.serve_tls(chain, tls.uris(None), handshake, peer, open, signal).await;
                }
            }
            return;
        }
        if chains.iter().all(|chain| chain.tls.is_none()) {
            match chains.iter().find(|chain| chain.server_names.is_empty()) {
                Some(chain) => self.serve_plain(chain, stream, peer, signal).await,
                None => self.listener.stats.no_filter_chain_match.increment(1),
            }
            return;
        }
        self.choose_by_hello(stream, peer, signal).await;
    }

    /// Whether the first byte is that of a handshake record. Plain HTTP to a TLS port is closed
    /// without an alert, which its sender would take for an answer.
    async fn speaks_tls(&self, stream: &TcpStream) -> bool {
        const HANDSHAKE: u8 = 22;
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1..) if first == [HANDSHAKE] => true,
            Ok(1..) => {
                if let Some(ssl) = &self.listener.stats.ssl {
                    ssl.not_tls();
                }
                false
            }
            // It left before it said anything.
            _ => false,
        }
    }

    async fn serve_plain(
        &self,
        chain: &Arc<FilterChain>,
        stream: TcpStream,
        peer: SocketAddr,
        signal: Signal,
    ) {
        let open = OpenConnection::new(&chain.stats, false);
        let logged = chain.manager.is_observed().then(|| {
            Box::new(LoggedConnection { local: stream.local_addr().ok(), ..Default::default() })
        });
        let downstream =
            Downstream { peer, tls: false, alpn_http2: false, certificate: None, logged };
        connection::serve(chain, stream, downstream, open, signal).await;
    }

    /// Several chains, or one with conditions: the client's hello says which.
    async fn choose_by_hello(&self, stream: TcpStream, peer: SocketAddr, signal: Signal) {
        let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
        let start = match hello.await {
            Ok(start) => start,
            Err(error) => return self.count_tls_failure(&error),
        };
        let name = start.client_hello().server_name().map(str::to_ascii_lowercase);
        let Some((chain, tls)) = find_chain(&self.listener.chains, name.as_deref()) else {
            self.listener.stats.no_filter_chain_match.increment(1);
            return;
        };
        let open = OpenConnection::new(&chain.stats, true);
        let tls = tls.current();
        let uris = tls.uris(Some(&start.client_hello()));
        let handshake = start.into_stream(Arc::clone(&tls.config));
        self.serve_tls(chain, uris, handshake, peer, open, signal).await;
    }

    async fn serve_tls(
        &self,
        chain: &Arc<FilterChain>,
        own_uris: &[String],
        handshake: impl Future<Output = io::Result<TlsStream<TcpStream>>>,
        peer: SocketAddr,
        open: OpenConnection,
        signal: Signal,
    ) {
        let stream = match handshake.await {
            Ok(stream) => stream,
            Err(error) => return self.count_tls_failure(&error),
        };
        let tls = stream.get_ref().1;
        if let Some(ssl) = &self.listener.stats.ssl {
            ssl.handshake(tls);
        }
        let alpn_http2 = tls.alpn_protocol() == Some(b"h2");
        let certificate = match tls.peer_certificates() {
            Some([leaf, ..]) if chain.http.forward_client_cert.names_certificate() => {
                client_certificate::describe(leaf, own_uris)
            }
            _ => None,
        };
        let logged = chain.manager.is_observed().then(|| logged(&stream));
        let downstream = Downstream { peer, tls: true, alpn_http2, certificate, logged };
        connection::serve(chain, stream, downstream, open, signal).await;
    }

    fn count_tls_failure(&self, error: &io::Error) {
        if let Some(ssl) = &self.listener.stats.ssl {
            ssl.failed(error);
        }
    }
}

impl Drop for AcceptedConnection {
    fn drop(&mut self) {
        let stats = &self.listener.stats;
        self.listener.connections.fetch_sub(1, Ordering::Relaxed);
        stats.cx_destroy.increment(1);
        stats.cx_active.decrement(1.0);
        stats.cx_length_ms.record_time(self.began.elapsed());
        if let Some((_, active)) = stats.workers.get(self.worker) {
            active.decrement(1.0);
        }
    }
}

/// What access logs tell of a connection with TLS.
fn logged(stream: &TlsStream<TcpStream>) -> Box<LoggedConnection> {
    let (tcp, tls) = stream.get_ref();
    Box::new(LoggedConnection {
        local: tcp.local_addr().ok(),
        tls_version: tls.protocol_version().and_then(tls_names::version),
        tls_cipher: tls.negotiated_cipher_suite().map(|suite| tls_names::cipher(suite.suite())),
        server_name: tls.server_name().map(Into::into),
    })
}

/// The chain for a server name: exact, then the longest `*.suffix`, then one without conditions.
fn find_chain<'a>(
    chains: &'a [Arc<FilterChain>],
    name: Option<&str>,
) -> Option<(&'a Arc<FilterChain>, &'a crate::tls::Downstream)> {
    let rank = |chain: &FilterChain| {
        if chain.server_names.is_empty() {
            return Some(0);
        }
        let name = name?;
        chain
            .server_names
            .iter()
            .filter_map(|pattern| match pattern.strip_prefix('*') {
                None => (pattern == name).then_some(usize::MAX),
                Some(suffix) => {
                    (name.len() > suffix.len() && name.ends_with(suffix)).then_some(suffix.len())
                }
            })
            .max()
    };
    chains
        .iter()
        .filter_map(|chain| Some((rank(chain)?, chain, chain.tls.as_deref()?)))
        .max_by_key(|(rank, ..)| *rank)
        .map(|(_, chain, tls)| (chain, tls))
}
