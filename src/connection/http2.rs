//! Serving HTTP/2: the `h2` crate's codec, made to refuse what Envoy's refuses and as it does.
//!
//! ```text
//! client bytes ⇄ Http2Gate (follows frames both ways, counts, stops floods) ⇄ h2 ⇄ streams
//! ```
//!
//! Where Envoy ends a connection for a malformed request, `h2` ends the stream and says so to the
//! client only. So the gate looks at what `h2` is about to send: an answer to a stream whose
//! request never came out of `h2` means that the request was refused. It needs no HPACK for that.
//! One head at a time goes into `h2`, so what comes out is always about the last one.
//!
//! # Where it differs from Envoy
//! * A fragment in `:path` is dropped, where Envoy answers 400; and bytes in it which a
//!   [`http::Uri`] cannot carry end the connection.
//! * Capitals in a name end the connection also with `stream_error_on_invalid_http_message`: `h2`
//!   gives up on its compression state then.
//! * Client frames on closed streams are answered with RST_STREAM, where Envoy ignores them.
//! * A head in more than five CONTINUATION frames is refused.
//! * A client that does not read what it has asked for with PING or SETTINGS is read no further,
//!   where Envoy cuts it off after a thousand (`outbound_control_flood`).

mod gate;
mod hpack;
mod limits;
mod request;
mod stall;
mod state;
mod stream;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use front_proxy_layers::access_log::ConnectionEnd;
use front_proxy_layers::http_connection_manager::{
    ConnectionService, ResponseBody, ResponseFuture,
};
use front_proxy_layers::http2::{Http2Body, Keepalive};
use front_proxy_layers::interim::Interim;
use front_proxy_layers::response_flags::ResponseFlag;
use futures_util::stream::{FuturesUnordered, StreamExt};
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use self::gate::{Http2Gate, goaway};
use self::limits::PrematureResets;
use self::request::{Verdict, check, take_expect_continue};
use self::state::{Ending, GateState};
use self::stream::{Outcome, Passing, RequestKind, Stream, say_interim};
use super::http1::{Protocol, delayed_close};
use super::log::{ConnectionLog, Http2End};
use super::open::OpenConnection;
use super::timers::{Activity, Expired, Timers};
use crate::listener::FilterChain;
use crate::shutdown::{Phase, Signal};

/// Serves the connection until it has closed.
pub(super) async fn serve<IO>(
    chain: &Arc<FilterChain>,
    io: IO,
    (service, log): (ConnectionService, Arc<Http2End>),
    access_log: &ConnectionLog,
    open: &mut OpenConnection,
    signal: Signal,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    open.speaks(Protocol::Http2);
    let codec = chain.http2_stats.codec();
    codec.nghttp2_downstream_connections.increment(1);
    let keep = chain.http.http2.keep_connection_on_bad_message;
    let state = GateState::new(Arc::clone(codec), Arc::clone(&chain.stats), keep);
    let mut gate = Http2Gate::new(io, Arc::clone(&state));
    let mut is_http2 = false;
    let end = match builder(chain).handshake(&mut gate).await {
        Ok(connection) => {
            is_http2 = true;
            let logs = (log, access_log);
            Serving::new(chain, connection, service, logs, &state, open, signal).run().await
        }
        Err(error) if error.is_io() && state.ending().is_none() => End::ByClient,
        Err(_) => End::Codec,
    };
    let (mut io, owed) = gate.into_parts();
    // Who does not speak HTTP/2 gets no answer in it.
    let mut last_words = if is_http2 { owed } else { BytesMut::new() };
    if end == End::Codec {
        open.cut_requests();
        match state.ending() {
            Some(Ending::Flood) => {}
            ending => {
                open.stats().cx_protocol_error.increment(1);
                if let Some(Ending::Protocol(Some(code))) = ending {
                    last_words.extend_from_slice(&goaway(state.highest(), code));
                }
            }
        }
    }
    if state.has_refused() {
        open.requests_active(true);
        state.refuse(state.highest());
        let (flag, details) = match end {
            End::Codec => (ResponseFlag::DownstreamProtocolError, "codec_error"),
            End::Abort => {
                (ResponseFlag::DownstreamConnectionTermination, "downstream_local_disconnect")
            }
            End::ByClient | End::Drained => {
                (ResponseFlag::DownstreamConnectionTermination, "downstream_remote_disconnect")
            }
        };
        access_log.refused_stream(flag, details);
    }
    match end {
        End::ByClient => open.closed_by_client(true),
        End::Abort => open.closed_by_client(false),
        End::Codec | End::Drained => {
            let delay = chain.timeouts().delayed_close.unwrap_or(Duration::ZERO);
            let write = tokio::time::timeout(LAST_WORDS, io.write_all(&last_words)).await;
            let closed = match write {
                Ok(Ok(())) => delayed_close(&mut io, delay).await,
                _ => Ok(false),
            };
            let timed_out = !delay.is_zero() && matches!(closed, Ok(true));
            if timed_out {
                open.stats().cx_delayed_close_timeout.increment(1);
            }
            open.closed_by_client(!timed_out && !delay.is_zero());
        }
    }
}

/// Requests that are taken before those that were taken get their turn.
const TURN: u64 = 32;

/// How long a client may take to make room for a GOAWAY.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client closed it.
    ByClient,
    /// The codec or the gate gave up on it.
    Codec,
    /// It was told to end, and has.
    Drained,
    /// It is cut off, without a word.
    Abort,
}

fn builder(chain: &FilterChain) -> Builder {
    let options = &chain.http.http2;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(options.max_concurrent_streams)
        .initial_window_size(options.initial_stream_window_size)
        .initial_connection_window_size(options.initial_connection_window_size)
        .max_header_list_size(longest_head(chain));
    if options.allow_connect {
        builder.enable_connect_protocol();
    }
    builder
}

/// Envoy's codec refuses to decompress more than 64 KiB of names and values, or more than a head
/// may have where that is more. `h2` adds 32 bytes for each field.
fn longest_head(chain: &FilterChain) -> u32 {
    let bytes = chain.http.max_request_headers_kb.max(64).saturating_mul(1024);
    let fields = chain.http.max_headers_count.max(100).saturating_mul(32);
    bytes.saturating_add(fields).min(16 << 20)
}

/// Dropped with requests under way, where its owner gives it up.
impl<IO> Drop for Serving<'_, IO> {
    fn drop(&mut self) {
        self.log.set(ConnectionEnd::ByProxy("downstream_local_disconnect"));
    }
}

/// A connection whose preface has been read.
// Private anyway; rustdoc 1.95 fails on the auto traits of its bounds (an internal error) without this.
#[doc(hidden)]
struct Serving<'a, IO> {
    chain: &'a FilterChain,
    connection: Connection<&'a mut Http2Gate<IO>, Bytes>,
    keepalive: Option<Keepalive>,
    service: ConnectionService,
    log: Arc<Http2End>,
    access_log: &'a ConnectionLog,
    streams: FuturesUnordered<Stream<'a, ResponseFuture, ResponseBody>>,
    resets: PrematureResets,
    requests: u64,
    state: &'a GateState,
    open: &'a mut OpenConnection,
    timers: Timers,
    signal: Signal,
    phase: Drain,
    /// How long a client that has been told to leave may take to say that it has heard.
    patience: Option<Pin<Box<Sleep>>>,
    overdue: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    Not,
    /// The client has been told, and may still send what is on its way.
    Noticed,
    /// New requests are refused.
    Final,
}

struct Streams {
    active: usize,
    requests: u64,
}

impl Activity for Streams {
    fn is_idle(&self) -> bool {
        self.active == 0
    }

    fn requests(&self) -> u64 {
        self.requests
    }

    fn head_since(&self) -> Option<std::time::Instant> {
        None
    }

    /// Each stream's own timeouts see to that.
    fn stalled_since(&self) -> Option<std::time::Instant> {
        None
    }
}

impl<'a, IO> Serving<'a, IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    fn new(
        chain: &'a FilterChain,
        mut connection: Connection<&'a mut Http2Gate<IO>, Bytes>,
        service: ConnectionService,
        (log, access_log): (Arc<Http2End>, &'a ConnectionLog),
        state: &'a GateState,
        open: &'a mut OpenConnection,
        signal: Signal,
    ) -> Self {
        let keepalive = chain
            .http
            .http2
            .keepalive
            .and_then(|times| Some(Keepalive::new(connection.ping_pong()?, times)));
        let timers = Timers::new(chain.timeouts(), chain.stall_timeout, open.began());
        Self {
            chain,
            connection,
            keepalive,
            service,
            log,
            access_log,
            streams: FuturesUnordered::new(),
            resets: PrematureResets::default(),
            requests: 0,
            state,
            open,
            timers,
            signal,
            phase: Drain::Not,
            patience: None,
            overdue: false,
        }
    }

    async fn run(mut self) -> End {
        let mut signal = self.signal.clone();
        let mut drain = pin!(signal.reached(Phase::Draining));
        let mut drained = false;
        let end = poll_fn(|cx| {
            if !drained && drain.as_mut().poll(cx).is_ready() {
                drained = true;
                self.chain.stats.cx_drain_close.increment(1);
                self.finish();
            }
            self.poll(cx)
        })
        .await;
        self.log.set(match end {
            End::ByClient | End::Drained => ConnectionEnd::ByClient,
            End::Codec => ConnectionEnd::Protocol,
            End::Abort => ConnectionEnd::ByProxy("downstream_local_disconnect"),
        });
        self.open.requests_active(!self.streams.is_empty());
        self.state.codec.streams_active.decrement(self.streams.len() as f64);
        end
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            // First: what they have to send goes out with this turn of the connection.
            if self.poll_streams(cx) {
                self.log.set(ConnectionEnd::ByProxy("downstream_local_disconnect"));
                self.state.codec.streams_active.decrement(self.streams.len() as f64);
                self.streams.clear();
                return Poll::Ready(End::Abort);
            }
            let before = self.requests;
            if let Poll::Ready(end) = self.poll_connection(cx) {
                return Poll::Ready(end);
            }
            if self.requests != before {
                continue;
            }
            if self.poll_overdue(cx) && self.streams.is_empty() {
                return Poll::Ready(End::Drained);
            }
            if let Some(keepalive) = &mut self.keepalive
                && keepalive.poll_dead(cx).is_ready()
            {
                self.state.codec.keepalive_timeout.increment(1);
                let details = "downstream_local_disconnect(http2_ping_timeout)";
                self.log.set(ConnectionEnd::ByProxy(details));
                return Poll::Ready(End::Abort);
            }
            let activity = Streams { active: self.streams.len(), requests: self.requests };
            match self.timers.poll(cx, &activity, self.open) {
                Poll::Ready(Expired::Connection) if self.phase != Drain::Final => self.finish(),
                _ if self.timers.is_draining() && self.phase == Drain::Not => self.give_notice(),
                _ => return Poll::Pending,
            }
        }
    }

    /// Whether the client has left `drain_timeout` unanswered: `h2` would wait for it, and serve it
    /// meanwhile.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(patience) = &mut self.patience
            && patience.as_mut().poll(cx).is_ready()
        {
            self.patience = None;
            self.overdue = true;
        }
        self.overdue
    }

    /// Drives the requests. True if the client has given up too many of them.
    fn poll_streams(&mut self, cx: &mut Context<'_>) -> bool {
        while let Poll::Ready(Some(outcome)) = self.streams.poll_next_unpin(cx) {
            self.state.codec.streams_active.decrement(1.0);
            if self.resets.ended(outcome == Outcome::PrematureReset) {
                self.chain.stats.rq_too_many_premature_resets.increment(1);
                self.chain.stats.cx_protocol_error.increment(1);
                return true;
            }
        }
        self.state.set_serving(self.streams.len());
        false
    }

    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let most = self.requests + TURN;
        // One that sends more than it lets be answered must not be read on and on.
        while self.requests < most {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.state.unpark();
                    if !self.accept(request, respond) {
                        return Poll::Ready(End::Codec);
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    // Cut off, or given up by a client with a GOAWAY of its own.
                    let remote = error.is_io() || (error.is_go_away() && error.is_remote());
                    let lost = remote && self.state.ending().is_none();
                    return Poll::Ready(if lost { End::ByClient } else { End::Codec });
                }
                Poll::Ready(None) if self.phase == Drain::Final => {
                    return Poll::Ready(End::Drained);
                }
                Poll::Ready(None) => return Poll::Ready(End::ByClient),
                Poll::Pending if self.state.unpark() => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }

    /// Begins to serve a request. False if it ends the connection.
    fn accept(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> bool {
        let id = respond.stream_id().as_u32();
        if self.overdue {
            self.state.forget(id);
            respond.send_reset(Reason::REFUSED_STREAM);
            return true;
        }
        self.requests += 1;
        self.leave_in_time();
        let codec = &self.state.codec;
        let mut request = request.map(Http2Body::new);
        let (verdict, dropped) = check(&mut request, &self.chain.http);
        if dropped > 0 {
            codec.dropped_headers_with_underscores.increment(dropped as u64);
        }
        let refused = match verdict {
            Verdict::Serve => None,
            Verdict::Malformed => {
                if !self.state.keep_connection {
                    codec.rx_messaging_error.increment(1);
                    self.state.end(Ending::Protocol(None));
                    return false;
                }
                // The gate counts it, as it does where `h2` resets a stream.
                respond.send_reset(Reason::PROTOCOL_ERROR);
                return true;
            }
            Verdict::TooLarge => {
                Some((&codec.header_list_size_too_large, "http2.header_list_size_too_large"))
            }
            Verdict::TooMany => Some((&codec.header_overflow, "http2.too_many_headers")),
            Verdict::Underscores => Some((
                &codec.requests_rejected_with_underscores_in_headers,
                "http2.unexpected_underscore",
            )),
        };
        if let Some((counter, details)) = refused {
            counter.increment(1);
            self.access_log.refused_stream(ResponseFlag::DownstreamRemoteReset, details);
            self.state.refuse(id);
            respond.send_reset(Reason::INTERNAL_ERROR);
            return true;
        }
        self.state.deliver(id);
        codec.streams_active.increment(1.0);
        let passing = if self.chain.http.proxy_100_continue {
            let interim = Interim::default();
            request.extensions_mut().insert(interim.clone());
            Some(Passing { interim, chain: self.chain })
        } else {
            if take_expect_continue(request.headers_mut()) {
                self.say_continue(&mut respond);
            }
            None
        };
        let kind = RequestKind {
            head: request.method() == Method::HEAD,
            has_body: !request.body().is_end_stream(),
        };
        let future = self.service.call(request);
        let patience = (self.state, self.chain.stall_timeout);
        self.streams.push(Stream::new(future, respond, kind, patience, passing));
        self.state.set_serving(self.streams.len());
        true
    }

    /// Ends the connection with this request if there may be no more of them. The client is told
    /// before it is answered.
    fn leave_in_time(&mut self) {
        let max = self.chain.http.max_requests_per_connection.map_or(u64::MAX, u64::from);
        if self.requests >= max {
            // Those that come all the same are counted as well.
            self.chain.stats.cx_max_requests_reached.increment(1);
            self.timers.drain();
            self.give_notice();
        }
        if self.phase == Drain::Not && self.signal.asks_to_leave() {
            self.chain.stats.cx_drain_close.increment(1);
            self.timers.drain();
            self.give_notice();
        }
    }

    /// Answers an `expect: 100-continue`, which goes no further.
    #[cold]
    fn say_continue(&self, respond: &mut SendResponse<Bytes>) {
        let mut head = Response::new(());
        *head.status_mut() = StatusCode::CONTINUE;
        say_interim(self.chain, respond, head);
    }

    /// The connection will end: the client learns it before requests are refused, so that none of
    /// those which are on their way is lost (RFC 9113 section 6.8).
    fn give_notice(&mut self) {
        if self.phase == Drain::Not {
            self.phase = Drain::Noticed;
            self.state.give_notice();
        }
    }

    /// Ends the connection when the requests have ended that are under way.
    fn finish(&mut self) {
        self.phase = Drain::Final;
        self.patience = Some(Box::pin(sleep(self.chain.timeouts().drain)));
        self.connection.graceful_shutdown();
    }
}
