//! Serving a connection from its first byte to its close.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use front_proxy_layers::access_log::ClientFault;
use front_proxy_layers::forwarded::Peer;
use front_proxy_layers::http_connection_manager::Connection;
use front_proxy_layers::server_header::ServerHeaderLayer;
use http::{HeaderValue, StatusCode};
use hyper::server::conn::http1::{Builder, UpgradeableConnection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::http1::Protocol;
use super::http1::{
    self, GateConfig, GateState, Http1Gate, Phase as GatePhase, Replay, Returned, TrackedService,
    delayed_close,
};
use super::io::Counted;
use super::log::{ConnectionLog, Http2End, LoggedConnection};
use super::open::OpenConnection;
use super::service::PathService;
use super::timers::{Expired, Timers};
use crate::config::model::{Codec, HttpConnectionManager};
use crate::listener::FilterChain;
use crate::shutdown::{Phase, Signal};

/// Where a connection comes from and what its handshake said.
#[derive(Clone, Debug)]
pub(crate) struct Downstream {
    pub(crate) peer: SocketAddr,
    pub(crate) tls: bool,
    /// ALPN chose HTTP/2.
    pub(crate) alpn_http2: bool,
    /// The client's certificate in the words of `x-forwarded-client-cert`, where they are wanted.
    pub(crate) certificate: Option<HeaderValue>,
    /// For access logs; not looked up where there are none.
    pub(crate) logged: Option<Box<LoggedConnection>>,
}

/// Serves the connection until it closes. `open` counts it meanwhile.
pub(crate) async fn serve<IO>(
    chain: &Arc<FilterChain>,
    io: IO,
    downstream: Downstream,
    mut open: OpenConnection,
    signal: Signal,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = Peer { address: downstream.peer, tls: downstream.tls };
    let access_log = ConnectionLog::new(chain, &downstream);
    let path = |fault: Arc<dyn ClientFault>| {
        let connection = Connection::new(peer)
            .certificate(downstream.certificate.clone())
            .downstream(access_log.connection())
            .fault(fault);
        chain.manager.for_connection(connection)
    };
    let service = |gate: &Arc<GateState>| PathService::new(path(Arc::clone(gate) as _));
    let http2_path = || {
        let end = Arc::new(Http2End::default());
        (path(Arc::clone(&end) as _), end)
    };
    let io = Counted::new(io, Arc::clone(&chain.stats), !downstream.tls);
    let http2 = match chain.http.codec {
        Codec::Http2 => true,
        Codec::Http1 => false,
        Codec::Auto => downstream.alpn_http2,
    };
    if http2 {
        super::http2::serve(chain, io, http2_path(), &access_log, &mut open, signal).await;
        return;
    }
    let returned = serve_http1(chain, io, service, &access_log, &mut open, signal.clone()).await;
    if let Some(Returned { io, read, protocol: Protocol::Http2 }) = returned {
        // It was HTTP/2 with prior knowledge: nothing of it was taken for HTTP/1.
        let io = Replay::new(io, read);
        super::http2::serve(chain, io, http2_path(), &access_log, &mut open, signal).await;
    }
}

/// Serves HTTP/1. Returns the stream if it turns out to be HTTP/2.
async fn serve_http1<IO>(
    chain: &Arc<FilterChain>,
    mut io: Counted<IO>,
    service: impl Fn(&Arc<GateState>) -> PathService,
    access_log: &ConnectionLog,
    open: &mut OpenConnection,
    signal: Signal,
) -> Option<Returned<Counted<IO>>>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new();
    chain.gate.configure(&mut builder);
    builder.title_case_headers(chain.http.http1.proper_case_words);
    let max_requests = chain.http.max_requests_per_connection.map_or(u64::MAX, u64::from);
    let mut read = BytesMut::new();
    let mut served = 0;
    let (mut returned, state) = loop {
        let (gate, handle) = Http1Gate::resume(io, read, Arc::clone(&chain.gate));
        let state = Arc::clone(handle.state());
        let service = TrackedService::new(service(&state), Arc::clone(&state))
            .max_requests(max_requests.saturating_sub(served))
            .signal(signal.clone())
            .pass_interim(chain.http.proxy_100_continue);
        let connection = builder.serve_connection(TokioIo::new(gate), service).with_upgrades();

        drive(connection, &state, chain, open, signal.clone()).await;

        let tunnel = state.phase() == GatePhase::Tunnel;
        let returned = handle.returned().await?;
        if returned.protocol == Protocol::Http2 {
            return Some(returned);
        }
        if state.bytes_in() > 0 {
            open.speaks(Protocol::Http1);
        }
        if tunnel {
            open.requests_active(state.client_closed());
        }
        served += state.requests();
        count_answers(chain, open, &state);
        if let Some(refusal) = state.refusal() {
            served += u64::from(!refusal.head_seen);
            access_log.refused(&refusal, state.head_since());
        }
        if let Some(since) = state.left_in_head() {
            served += 1;
            open.requests_active(true);
            count_begun(open);
            open.stats().rq_rx_reset.increment(1);
            access_log.left_in_head(since);
        }
        let go_on = state.unasked_switch()
            && !state.client_closed()
            && served < max_requests
            && signal.phase() < Phase::Draining;
        if !go_on {
            break (returned, state);
        }
        (io, read) = (returned.io, returned.read);
    };
    if served >= max_requests {
        open.stats().cx_max_requests_reached.increment(1);
    }
    let delay = match chain.timeouts().delayed_close {
        Some(delay) if state.delay_close() || state.linger() => delay,
        _ => Duration::ZERO,
    };
    // The client may close while we wait for that: then it was the client.
    let by_client = state.client_closed();
    if state.linger() && !state.delay_close() {
        open.closed_by_client(false);
        let _ = http1::lingering_close(&mut returned.io, delay).await;
        return None;
    }
    let closed = delayed_close(&mut returned.io, delay).await;
    if !delay.is_zero() && matches!(closed, Ok(true)) {
        open.stats().cx_delayed_close_timeout.increment(1);
        open.closed_by_client(false);
    } else {
        open.closed_by_client(by_client || !delay.is_zero());
    }
    None
}

/// Drives hyper's connection, and ends it when it has been idle or open for too long, or when the
/// process is about to end.
async fn drive<C>(
    connection: C,
    state: &GateState,
    chain: &FilterChain,
    open: &mut OpenConnection,
    mut signal: Signal,
) where
    C: GracefulConnection,
{
    let mut connection = std::pin::pin!(connection);
    let mut timers = Timers::new(chain.timeouts(), chain.stall_timeout, open.began());
    let mut drain = std::pin::pin!(signal.reached(Phase::Draining));
    let mut draining = false;
    poll_fn(|cx| {
        loop {
            let polled = connection.as_mut().poll(cx);
            // Not before: the first bytes may still turn out to be HTTP/2's preface.
            if state.requests() > 0 {
                open.speaks(Protocol::Http1);
            }
            if polled.is_ready() {
                return Poll::Ready(());
            }
            state.look_for_room();
            if !draining && drain.as_mut().poll(cx).is_ready() {
                draining = true;
                connection.as_mut().graceful_shutdown();
                continue;
            }
            match timers.poll(cx, state, open) {
                Poll::Pending => return Poll::Pending,
                // The head's time is up: the gate refuses it when it is polled.
                Poll::Ready(Expired::Head) => state.time_out_head(),
                Poll::Ready(Expired::Stalled) => {
                    open.stats().rq_idle_timeout.increment(1);
                    state.set_delay_close();
                    return Poll::Ready(());
                }
                Poll::Ready(Expired::Connection) if !draining => {
                    draining = true;
                    // Envoy lets the client close first, although it has nothing to read.
                    state.set_delay_close();
                    connection.as_mut().graceful_shutdown();
                }
                // It was told already, by the process that ends.
                Poll::Ready(Expired::Connection) => {}
            }
        }
    })
    .await;
    // hyper still has the service's future where the client left before its answer.
    let refused = state.refusal().is_some_and(|refusal| refusal.answered);
    open.requests_active(state.is_answering() && !refused);
}

/// hyper's connection types have no trait for this.
pub(super) trait GracefulConnection: Future {
    fn graceful_shutdown(self: Pin<&mut Self>);
}

impl<I, B, S> GracefulConnection for UpgradeableConnection<I, S>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        UpgradeableConnection::graceful_shutdown(self);
    }
}

/// The gate's limits for a connection manager.
pub(crate) fn gate_config(
    config: &HttpConnectionManager,
    tls: bool,
    server_header: ServerHeaderLayer,
) -> GateConfig {
    // As Envoy has it, an edge is where the client's address is taken from the connection.
    let is_edge = config.use_remote_address && config.xff_num_trusted_hops == 0;
    GateConfig {
        refuse_https_url: is_edge && !tls,
        max_head_bytes: usize::try_from(config.max_request_headers_kb)
            .unwrap_or(usize::MAX)
            .saturating_mul(1024),
        max_headers: usize::try_from(config.max_headers_count).unwrap_or(usize::MAX),
        allow_absolute_url: config.http1.allow_absolute_url,
        accept_http_10: config.http1.accept_http_10,
        allow_chunked_length: config.http1.allow_chunked_length,
        enable_trailers: config.http1.enable_trailers,
        answer_100_continue: !config.proxy_100_continue,
        underscores: config.underscores,
        server_header,
        detect_http2: config.codec == Codec::Auto,
    }
}

/// Counts the answers that the gate gave itself.
fn count_answers(chain: &FilterChain, open: &OpenConnection, state: &GateState) {
    // Envoy counts each `100 Continue` as a response.
    for _ in 0..state.continues() {
        open.stats().charge(StatusCode::CONTINUE);
        chain.listener_codes.charge(StatusCode::CONTINUE);
    }
    if state.is_leaving() {
        open.stats().cx_drain_close.increment(1);
    }
    let dropped = state.dropped_underscores();
    if dropped > 0 {
        chain.http1_stats.dropped_headers_with_underscores.increment(dropped.into());
    }
    if let Some(refusal) = state.refusal() {
        if refusal.kind == http1::RefusalKind::Underscore {
            let stats = &chain.http1_stats;
            stats.requests_rejected_with_underscores_in_headers.increment(1);
        }
        count_refusal(chain, open, &refusal);
    }
}

/// Counts a request of which there is at least a byte.
fn count_begun(open: &OpenConnection) {
    open.stats().rq_total.increment(1);
    open.stats().rq_http1_total.increment(1);
}

/// Counts a request that was refused. One that had reached the request path is counted there, also as
/// one that was reset.
fn count_refusal(chain: &FilterChain, open: &OpenConnection, refusal: &http1::Refusal) {
    let stats = open.stats();
    let kind = refusal.kind;
    let elsewhere = refusal.head_seen;
    if !elsewhere {
        count_begun(open);
    }
    if kind.is_protocol_error() {
        stats.cx_protocol_error.increment(1);
    }
    if kind.is_before_request_complete() {
        stats.rq_response_before_rq_complete.increment(1);
        stats.rq_rx_reset.increment(u64::from(!elsewhere));
    }
    match kind {
        http1::RefusalKind::HeaderTimeout => stats.rq_header_timeout.increment(1),
        http1::RefusalKind::FragmentInPath => stats.rq_failed_path_normalization.increment(1),
        _ => {}
    }
    stats.charge(kind.status());
    chain.listener_codes.charge(kind.status());
}
