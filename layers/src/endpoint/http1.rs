//! One HTTP/1 connection to an endpoint, driven by whoever uses it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use tokio_util::sync::ReusableBoxFuture;

use super::io::{ExpectsHead, Stalled, UpstreamConnection, UpstreamIo};
use super::waker::{ConnectionWaker, Readable, WatcherQueue};
use super::{ConnectError, Endpoint, EndpointStats};
use crate::body::{Body, RequestProgress};
use crate::clock;
use crate::error::{ErrorKind, ProxyError, Retry};
use crate::flow_control::SlowUpstream;
use crate::interim::Interim;
use crate::route::view;
use crate::trailers::{TrailerBody, TrailerSlot};

/// What hyper sends: trailers go around it.
type Outgoing = TrailerBody<Body>;

type SendResult = Result<Response<Incoming>, TrySendError<Request<Outgoing>>>;

/// What hyper buffers by default.
const MAX_HEAD: usize = 8 * 1024 + 100 * 4 * 1024;

/// How often a connection is polled in one turn of its task before others get theirs.
const ROUNDS: usize = 4;

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// A number for an upstream connection.
pub(super) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// An open HTTP/1 connection.
///
/// hyper's connection is a future that must be polled for anything to happen. It usually gets a
/// task of its own and talks to requests over channels, which costs several task switches a
/// request. Here the one request that has the connection polls it in its own task.
pub(crate) struct Http1Connection {
    send: SendRequest<Outgoing>,
    /// Gone once the stream has become a tunnel's.
    connection: Option<Connection<TokioIo<UpstreamIo>, Outgoing>>,
    response: ReusableBoxFuture<'static, SendResult>,
    waker: Arc<ConnectionWaker>,
    /// `waker` in the form in which hyper wants it; made once.
    poll_waker: Waker,
    readable: Arc<Readable>,
    id: u64,
    described: Arc<UpstreamConnection>,
    requests: u32,
    opened: Instant,
    idle_since: Instant,
    /// The connection future has ended and must not be polled again.
    ended: bool,
    active: bool,
    /// The request that is under way, where it has a body.
    progress: Option<Arc<RequestProgress>>,
    /// The upstream said that it closes after this response.
    closing: bool,
    /// The upstream sent what is no response to anything.
    refused: bool,
    expects: Arc<ExpectsHead>,
    stalled: Arc<Stalled>,
    slow: SlowUpstream,
    /// Where trailers of requests go; none where they are dropped, both ways.
    trailers: Option<Arc<TrailerSlot>>,
    closed_by: ClosedBy,
    owner: Arc<Endpoint>,
    /// The shard it lives in, whichever thread uses it.
    home: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClosedBy {
    Us,
    Upstream,
}

/// A request that failed before its response, and the request itself if it was never written.
pub(crate) struct SendError {
    pub(crate) error: ProxyError,
    pub(crate) unsent: Option<Box<Request<Body>>>,
}

impl Http1Connection {
    pub(super) async fn handshake(
        mut io: UpstreamIo,
        owner: Arc<Endpoint>,
        home: usize,
        watcher: Arc<WatcherQueue>,
    ) -> Result<Box<Self>, ConnectError> {
        let (expects, stalled) = (Arc::clone(io.expects()), Arc::clone(io.stalled()));
        let options = &owner.shared().options;
        let trailers = options.http1_trailers.then(|| io.enable_trailers());
        let id = next_id();
        let described = Arc::new(io.describe(id));
        let waker = ConnectionWaker::new(id, watcher);
        let readable = Readable::new(Arc::clone(&waker));
        io.follow(&readable);
        let (send, connection) = http1::Builder::new()
            .title_case_headers(options.title_case_headers)
            // What its buffer has room for, which is the limit of a head; else trailers get 16 KiB.
            .max_header_size(MAX_HEAD)
            // A fold is taken for blanks, as in Envoy; blanks before a colon are refused.
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| ConnectError::Http(error.into()))?;
        let now = Instant::now();
        Ok(Box::new(Self {
            send,
            connection: Some(connection),
            response: ReusableBoxFuture::new(std::future::pending()),
            poll_waker: Waker::from(Arc::clone(&waker)),
            waker,
            readable,
            id,
            described,
            requests: 0,
            opened: now,
            idle_since: now,
            ended: false,
            active: false,
            progress: None,
            closing: false,
            refused: false,
            expects,
            stalled,
            slow: SlowUpstream::default(),
            trailers,
            closed_by: ClosedBy::Us,
            owner,
            home,
        }))
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// What there is to tell of it.
    pub(crate) fn described(&self) -> &Arc<UpstreamConnection> {
        &self.described
    }

    pub(super) fn home(&self) -> usize {
        self.home
    }

    /// Whether it lay idle for at least this long before now.
    pub(crate) fn has_rested(&self, at_least: Duration) -> bool {
        let rested = || clock::now().saturating_duration_since(self.idle_since);
        self.requests > 0 && rested() >= at_least
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since
    }

    pub(super) fn opened(&self) -> Instant {
        self.opened
    }

    /// Whether a request went over it before the current one.
    pub(crate) fn is_reused(&self) -> bool {
        self.requests > 1
    }

    /// Hands the request to the connection. [`poll_response`](Self::poll_response) does the rest,
    /// and has to follow at once: until then the connection's wakes go nowhere.
    pub(crate) fn start(&mut self, request: Request<Body>) {
        self.requests += 1;
        if self.is_worn() {
            self.owner.shared().stats.cx_max_requests.increment(1);
        }
        self.active = true;
        self.expects.begin(view::is_internal(request.headers()));
        self.progress = request.body().progress().map(Arc::clone);
        self.slow = SlowUpstream::default();
        // hyper wakes its connection for the request. The task that would be told is still that of
        // the request before, and this one is about to poll anyway.
        self.waker.begin();
        let (parts, body) = request.into_parts();
        let body = TrailerBody::new(body, &parts.headers, self.trailers.as_ref());
        let mut request = Request::from_parts(parts, body);
        if let Some(interim) = request.extensions().get::<Interim>().cloned() {
            hyper::ext::on_informational(&mut request, move |response| {
                interim.put(response.status(), response.headers());
            });
        }
        let response = self.send.try_send_request(request);
        self.response.set(response);
    }

    /// Drives the connection until the response head is there.
    pub(crate) fn poll_response(
        &mut self,
        cx: &Context<'_>,
    ) -> Poll<Result<Response<Incoming>, SendError>> {
        let polled = self.drive(cx, |this, cx| this.response.poll(cx));
        let is_sound = polled.is_pending() || self.expects.end();
        let result = match polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Driven::Ready(result)) => result,
            Poll::Ready(Driven::Ended) => {
                return Poll::Ready(Err(SendError {
                    error: ProxyError::new(ErrorKind::ConnectionTerminated),
                    unsent: None,
                }));
            }
        };
        if !is_sound && result.is_ok() {
            let error = ProxyError::new(ErrorKind::ProtocolError);
            return Poll::Ready(Err(SendError { error, unsent: None }));
        }
        Poll::Ready(result.map_err(|mut error| {
            let unsent = error.take_message();
            let unsent = unsent.map(|request| Box::new(request.map(TrailerBody::into_inner)));
            let error = error.into_error();
            let kind = classify(&error);
            self.closed_by = match kind {
                ErrorKind::ConnectionTerminated => ClosedBy::Upstream,
                _ => ClosedBy::Us,
            };
            let retry = match (&unsent, self.is_reused()) {
                (Some(_), _) => Retry::IfNotSent,
                (None, true) if kind == ErrorKind::ConnectionTerminated => {
                    Retry::IfConnectionReused
                }
                _ => Retry::Never,
            };
            SendError { error: ProxyError::new(kind).with_source(error).with_retry(retry), unsent }
        }))
    }

    /// Whether trailers of responses are passed on.
    pub(crate) fn passes_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    /// Drives the connection until the next frame of the response body is there.
    pub(crate) fn poll_body<T>(
        &mut self,
        cx: &Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Option<T>> {
        // A small body came in with its head: there is nothing to drive. hyper is told that more is
        // wanted, and wakes its connection, which is polled below.
        self.waker.begin();
        if let Poll::Ready(value) = poll(&mut Context::from_waker(Waker::noop())) {
            self.waker.in_use();
            return Poll::Ready(Some(value));
        }
        match self.drive(cx, |_, cx| poll(cx)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Driven::Ready(value)) => Poll::Ready(Some(value)),
            Poll::Ready(Driven::Ended) => Poll::Ready(None),
        }
    }

    /// Polls `step` and the connection in turn: what `step` waits for can only come from the
    /// connection, so it is polled with a waker that does nothing.
    fn drive<T>(
        &mut self,
        cx: &Context<'_>,
        mut step: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<Driven<T>> {
        let mut noop = Context::from_waker(Waker::noop());
        self.waker.adopt(cx);
        for _ in 0..ROUNDS {
            self.waker.begin();
            if !self.ended {
                self.poll_connection();
                self.look_for_room();
            }
            if let Poll::Ready(value) = step(self, &mut noop) {
                self.waker.in_use();
                return Poll::Ready(Driven::Ready(value));
            }
            if self.ended {
                return Poll::Ready(Driven::Ended);
            }
            if self.waker.end() {
                return Poll::Pending;
            }
        }
        // The connection always finds more to do, or the task's budget is used up: let others run.
        self.waker.in_use();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Counts where the upstream does not take a request.
    fn look_for_room(&mut self) {
        let stats = &self.owner.shared().stats;
        self.slow.look(self.stalled.is_stalled(), self.progress.as_ref(), stats);
    }

    /// The upstream has said that it closes the connection after this response: then we do,
    /// unless the response is `framed` by nothing but the end of the connection.
    pub(crate) fn expect_close(&mut self, framed: bool) {
        self.owner.shared().stats.cx_close_notify.increment(1);
        if framed {
            self.closing = true;
            self.closed_by = ClosedBy::Us;
        }
    }

    /// Another request would go out as one of HTTP/1.0: hyper speaks the version that it was last
    /// spoken to in.
    pub(crate) fn retire(&mut self) {
        self.closing = true;
        self.closed_by = ClosedBy::Us;
    }

    fn poll_connection(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let mut cx = Context::from_waker(&self.poll_waker);
        // Without shutdown: after a protocol switch the stream is the tunnel's.
        if let Poll::Ready(result) = connection.poll_without_shutdown(&mut cx) {
            self.ended = true;
            // An end or a reset is the upstream's doing; bytes that nobody asked for are refused.
            let refused = result
                .is_err_and(|error| !error.is_closed() && !error.is_canceled() && !is_io(&error));
            self.refused |= refused;
            self.closed_by =
                if refused || self.closing { ClosedBy::Us } else { ClosedBy::Upstream };
        }
    }

    /// The response has ended: makes the connection idle. False if it can't be used again.
    pub(super) fn rest(&mut self) -> bool {
        if self.progress.take().is_some_and(|request| request.completed_at().is_none()) {
            // The upstream did not wait for the end of the request: the rest of it is in the way.
            return false;
        }
        self.active = false;
        self.idle_since = clock::now();
        self.waker.idle();
        // hyper is ready for a request when it has seen that nothing follows the response. What has
        // come since then, the runtime has told.
        let settled = !self.ended && self.send.is_ready() && !self.readable.is_told();
        if self.closing || !(settled || self.poll_idle()) {
            return false;
        }
        if !self.send.is_ready() {
            // It has begun to read another response, to a request that nobody made.
            self.refused = true;
            return false;
        }
        true
    }

    /// Polls an idle connection. False if it was closed.
    pub(super) fn poll_idle(&mut self) -> bool {
        self.waker.idle();
        if !self.ended {
            self.poll_connection();
        }
        !self.ended
    }

    /// Whether the connection has served as many requests as it may.
    pub(super) fn is_worn(&self) -> bool {
        self.owner.shared().options.max_requests.is_some_and(|max| self.requests >= max)
    }

    /// Whether the upstream has closed it, as far as is known without asking the kernel.
    pub(super) fn is_open(&self) -> bool {
        !self.ended && !self.send.is_closed()
    }

    /// The upstream ended the exchange by closing, rather than we.
    pub(crate) fn closed_by_upstream(&mut self) {
        self.closed_by = ClosedBy::Upstream;
    }

    /// After a protocol switch: the stream, and what was read from it behind the response.
    pub(crate) fn take_stream(&mut self) -> Option<(UpstreamIo, Bytes)> {
        if !self.ended {
            self.poll_connection();
        }
        let connection = self.connection.take_if(|_| self.ended)?;
        self.closed_by = ClosedBy::Us;
        let parts = connection.into_parts();
        let mut io = parts.io.into_inner();
        io.unfollow();
        Some((io, parts.read_buf))
    }

    /// Closes it and gives up its place among the open ones: another may be made.
    pub(crate) fn close(self: Box<Self>) {
        let (owner, home) = (Arc::clone(&self.owner), self.home);
        // First its end is counted, then the place is free.
        drop(self);
        owner.vacate(home);
    }
}

enum Driven<T> {
    Ready(T),
    Ended,
}

impl Drop for Http1Connection {
    fn drop(&mut self) {
        // Nor does Envoy take a 408 to nobody for an error: it is how some servers close.
        if self.refused && !self.active && !self.expects.is_goodbye() {
            self.owner.shared().stats.cx_protocol_error.increment(1);
        }
        let by_upstream = self.closed_by == ClosedBy::Upstream;
        close_stats(&self.owner, by_upstream, self.active, self.opened, self.requests);
    }
}

impl fmt::Debug for Http1Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1Connection")
            .field("endpoint", &self.owner.address())
            .field("requests", &self.requests)
            .finish_non_exhaustive()
    }
}

/// What is counted when a connection ends, whichever protocol it spoke.
pub(super) fn close_stats(
    endpoint: &Endpoint,
    by_upstream: bool,
    active: bool,
    opened: Instant,
    requests: u32,
) {
    let shared = endpoint.shared();
    let stats = &shared.stats;
    stats.cx_destroy.increment(1);
    if by_upstream {
        stats.cx_destroy_remote.increment(1);
    } else {
        stats.cx_destroy_local.increment(1);
    }
    if active {
        stats.cx_destroy_with_active_rq.increment(1);
        if by_upstream {
            stats.cx_destroy_remote_with_active_rq.increment(1);
        } else {
            stats.cx_destroy_local_with_active_rq.increment(1);
        }
    }
    stats.cx_active.decrement(1.0);
    stats.cx_length_ms.record_time(opened.elapsed());
    // A connection that never came about has no number of requests.
    if requests > 0 {
        stats.rq_per_cx.record(f64::from(requests));
    }
    shared.resources.connections.give();
    EndpointStats::lower(&endpoint.stats().cx_active);
}

impl EndpointStats {
    pub(crate) fn raise(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lower(counter: &AtomicU64) {
        counter.fetch_sub(1, Ordering::Relaxed);
    }
}

fn is_io(error: &hyper::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

/// What a failed exchange on an HTTP/1 connection was.
fn classify(error: &hyper::Error) -> ErrorKind {
    if error.is_parse() {
        ErrorKind::ProtocolError
    } else if error.is_user() {
        // The request body failed: it is the client that went away.
        ErrorKind::DownstreamClosed
    } else {
        ErrorKind::ConnectionTerminated
    }
}
