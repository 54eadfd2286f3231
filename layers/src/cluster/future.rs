//! From a picked endpoint to a response head.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;

use super::Cluster;
use super::service::{ActiveRequest, PendingRequest};
use super::switch::{self, ConnectTcp};
use super::upstream_body::UpstreamBody;
use super::upstream_request::{copy_head, for_http1, for_http2, is_repeatable, whole_url};
use crate::body::Body;
use crate::endpoint::{
    Checkout, ConnectError, Connected, Connecting, Endpoint, Http1Connection, Http2Exchange,
    Http2Streams, SendError, Waiter,
};
use crate::error::{ErrorKind, ProxyError, Retry};
use crate::outlier::Outcome;
use crate::sanitize::is_last;
use crate::stream_info::StreamInfo;
use crate::timeout;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A kept connection that was idle for less than this is taken to be alive: its end would have
/// been noticed. After a longer rest a copy of the head is kept, to repeat the request if the
/// connection turns out to have died.
const SURELY_ALIVE: Duration = Duration::from_micros(200);

/// The future of a [`Cluster`]'s call.
pub struct ResponseFuture {
    state: State,
    exchange: Option<Exchange>,
}

/// What is the same in all states.
struct Exchange {
    cluster: Cluster,
    endpoint: Arc<Endpoint>,
    /// A request that can't be sent at once, and one that came back unsent. Boxed, as is what else is
    /// seldom there: the future is moved through every layer.
    request: Option<Box<Request<Body>>>,
    /// The connection was made for this request.
    fresh: bool,
    /// A copy of the head of a request that may be repeated.
    repeat: Option<Box<Request<Body>>>,
    /// What the client sends once protocols are switched, where it asked for that.
    tunnel: Option<Box<Body>>,
    /// What is taken down of the request, however often its head is sent.
    info: Option<Arc<StreamInfo>>,
}

enum State {
    Failed(Option<ProxyError>),
    /// Failed while the client may still be sending: what has arrived of the body is read first.
    Draining(Option<ProxyError>, u8),
    Start,
    Connecting(Connecting, PendingRequest),
    Waiting(Waiter, PendingRequest),
    Http1(Box<Http1Connection>, ActiveRequest),
    Tcp(BoxFuture<switch::TcpResult>, ActiveRequest),
    Http2(Http2Exchange, ActiveRequest),
    Done,
}

impl ResponseFuture {
    /// Begins at once: a request that finds its connection goes into it, not into the future.
    pub(super) fn new(cluster: Cluster, endpoint: Arc<Endpoint>, request: Request<Body>) -> Self {
        let info = StreamInfo::of(request.extensions()).map(Arc::clone);
        let mut exchange = Exchange {
            cluster,
            endpoint,
            request: None,
            fresh: false,
            repeat: None,
            tunnel: None,
            info,
        };
        let state = exchange.start(request);
        Self { state, exchange: Some(exchange) }
    }

    pub(super) fn failed(error: ProxyError) -> Self {
        Self { state: State::Failed(Some(error)), exchange: None }
    }
}

impl Drop for ResponseFuture {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Done);
        if let State::Http1(_, active) | State::Http2(_, active) = &state
            && timeout::has_struck()
        {
            active.timed_out();
        }
        if let State::Http1(connection, _) = state {
            // The client left, or a timeout struck, before the response: its connection is of no
            // more use, and who waits for one may make another.
            connection.close();
        }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<UpstreamBody>, ProxyError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(exchange) = &mut this.exchange else {
            let State::Failed(error) = &mut this.state else {
                return Poll::Pending;
            };
            let error = error.take();
            return Poll::Ready(Err(
                error.unwrap_or_else(|| ProxyError::new(ErrorKind::NoHealthyUpstream))
            ));
        };
        loop {
            match &mut this.state {
                State::Start => this.state = exchange.go_on(Exchange::start),
                State::Connecting(connect, _) => {
                    let connected = ready!(connect.poll(cx));
                    let State::Connecting(_, pending) =
                        std::mem::replace(&mut this.state, State::Done)
                    else {
                        continue;
                    };
                    pending.end();
                    exchange.fresh = true;
                    this.state = match connected {
                        Ok(Connected::Http1(connection)) => {
                            exchange.go_on(|this, request| this.send_http1(connection, request))
                        }
                        Ok(Connected::Http2(stream)) => {
                            exchange.go_on(|this, request| this.send_http2(stream, request))
                        }
                        Err(error) => {
                            exchange.cluster.inner.stats.rq_pending_failure_eject.increment(1);
                            exchange.endpoint.report(Outcome::Broken);
                            State::Draining(Some(connect_error(&error)), 0)
                        }
                    };
                }
                State::Waiting(waiter, _) => {
                    let handed = ready!(Pin::new(waiter).poll(cx));
                    let State::Waiting(_, pending) =
                        std::mem::replace(&mut this.state, State::Done)
                    else {
                        continue;
                    };
                    this.state = match handed {
                        Some(connection) => {
                            pending.end();
                            exchange.go_on(|this, request| this.send_http1(connection, request))
                        }
                        // A place is free now: look again, as the same pending request.
                        None => exchange.go_on(|this, request| this.obtain(request, Some(pending))),
                    };
                }
                State::Http1(connection, _) => {
                    let result = ready!(connection.poll_response(cx));
                    let State::Http1(connection, active) =
                        std::mem::replace(&mut this.state, State::Done)
                    else {
                        continue;
                    };
                    match result {
                        Ok(response) => {
                            let tunnel = exchange.tunnel.take().map(|tunnel| *tunnel);
                            return Poll::Ready(receive_http1(
                                connection, response, active, tunnel,
                            ));
                        }
                        Err(error) => {
                            connection.close();
                            if error.error.kind() == ErrorKind::ProtocolError {
                                exchange.cluster.inner.stats.cx_protocol_error.increment(1);
                            }
                            this.state = exchange.recover(error, &active);
                        }
                    }
                }
                State::Http2(sent, _) => {
                    let result = ready!(sent.poll_response(cx));
                    let State::Http2(sent, active) =
                        std::mem::replace(&mut this.state, State::Done)
                    else {
                        continue;
                    };
                    match result {
                        Ok(mut response) => {
                            active.answered(response.status(), response.headers());
                            if let Some(client) = exchange.tunnel.take() {
                                switch::granted_over_http2(&mut response, &client);
                            }
                            let body = UpstreamBody::http2(sent, active);
                            return Poll::Ready(Ok(response.map(|()| body)));
                        }
                        Err(error) => this.state = exchange.recover(error, &active),
                    }
                }
                State::Tcp(connect, _) => {
                    let connected = ready!(connect.as_mut().poll(cx));
                    let State::Tcp(_, active) = std::mem::replace(&mut this.state, State::Done)
                    else {
                        continue;
                    };
                    let client = exchange.tunnel.take();
                    return Poll::Ready(match (connected, client) {
                        (Ok(upstream), Some(client)) => {
                            Ok(switch::connected(upstream, active, *client))
                        }
                        (Err(error), _) => {
                            exchange.endpoint.report(Outcome::Broken);
                            Err(connect_error(&error))
                        }
                        (_, None) => Err(ProxyError::new(ErrorKind::DownstreamClosed)),
                    });
                }
                State::Draining(error, turns) => {
                    // Envoy reads the body while it connects: a request that is complete by now
                    // leaves its connection usable. hyper reads on when the body is asked for, in
                    // the turns of this task that follow.
                    let unread =
                        exchange.request.as_mut().is_some_and(|r| !drain(r.body_mut(), cx));
                    if unread && *turns < DRAIN_TURNS {
                        *turns += 1;
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    this.state = State::Failed(error.take());
                }
                State::Failed(error) => {
                    let error = error.take();
                    this.state = State::Done;
                    return Poll::Ready(Err(
                        error.unwrap_or_else(|| ProxyError::new(ErrorKind::ConnectionTerminated))
                    ));
                }
                State::Done => {
                    return Poll::Ready(Err(ProxyError::new(ErrorKind::ConnectionTerminated)));
                }
            }
        }
    }
}

impl Exchange {
    fn start(&mut self, request: Request<Body>) -> State {
        if request.body().is_switch() && request.extensions().get::<ConnectTcp>().is_some() {
            return self.connect_tcp(request);
        }
        self.obtain(request, None)
    }

    /// Does this with the request that was kept.
    fn go_on(&mut self, step: impl FnOnce(&mut Self, Request<Body>) -> State) -> State {
        match self.request.take() {
            Some(request) => step(self, *request),
            None => State::Failed(None),
        }
    }

    /// A `CONNECT` that ends here: its bytes go on over TCP.
    fn connect_tcp(&mut self, mut request: Request<Body>) -> State {
        self.tunnel = request.body_mut().take_switch().map(Box::new);
        let Some(active) = ActiveRequest::begin(&self.cluster, &self.endpoint, &request) else {
            return State::Failed(Some(ProxyError::new(ErrorKind::Overflow)));
        };
        State::Tcp(Box::pin(Arc::clone(&self.endpoint).connect_tcp()), active)
    }

    /// A connection, kept or new. `pending` is given where the request waited before.
    fn obtain(&mut self, request: Request<Body>, pending: Option<PendingRequest>) -> State {
        let again = pending.is_some();
        self.fresh = false;
        let (checkout, over) = match self.endpoint.checkout(again) {
            Checkout::Http1(connection) => {
                if let Some(pending) = pending {
                    pending.end();
                }
                return self.send_http1(connection, request);
            }
            Checkout::Http2(stream) => {
                if let Some(pending) = pending {
                    pending.end();
                }
                return self.send_http2(stream, request);
            }
            Checkout::Connect(place) => {
                let over = place.is_over();
                (Ok(place), over)
            }
            Checkout::Wait(waiter) => {
                let over = waiter.is_over();
                (Err(waiter), over)
            }
        };
        self.request = Some(Box::new(request));
        let Some(pending) = pending.or_else(|| PendingRequest::begin(&self.cluster)) else {
            return State::Failed(Some(ProxyError::new(ErrorKind::Overflow)));
        };
        // After the pending request was let in, as Envoy looks at its breakers, and once for each.
        if over && !again {
            self.cluster.inner.stats.cx_overflow.increment(1);
        }
        match checkout {
            Ok(place) => State::Connecting(self.endpoint.connect(place), pending),
            Err(waiter) => State::Waiting(waiter, pending),
        }
    }

    fn send_http1(
        &mut self,
        mut connection: Box<Http1Connection>,
        mut request: Request<Body>,
    ) -> State {
        let Some(active) = ActiveRequest::begin(&self.cluster, &self.endpoint, &request) else {
            self.endpoint.give_back(connection);
            return State::Failed(Some(ProxyError::new(ErrorKind::Overflow)));
        };
        active.connected();
        if let Some(info) = &self.info {
            info.sent_on(connection.described(), Version::HTTP_11);
        }
        if let Some(tunnel) = request.body_mut().take_switch() {
            self.tunnel = Some(Box::new(tunnel));
        }
        let whole = self.endpoint.shared().options.absolute_form.then(|| whole_url(&request));
        for_http1(&mut request);
        if let Some(url) = whole.flatten() {
            *request.uri_mut() = url;
        }
        self.repeat = None;
        if connection.has_rested(SURELY_ALIVE) && is_repeatable(&request) {
            self.repeat = Some(Box::new(copy_head(&request)));
        }
        connection.start(request);
        State::Http1(connection, active)
    }

    fn send_http2(&mut self, stream: Http2Streams, mut request: Request<Body>) -> State {
        let Some(active) = ActiveRequest::begin(&self.cluster, &self.endpoint, &request) else {
            return State::Failed(Some(ProxyError::new(ErrorKind::Overflow)));
        };
        active.connected();
        if let Some(info) = &self.info {
            info.sent_on(stream.described(), Version::HTTP_2);
        }
        if let Err(error) = for_http2(&mut request, self.endpoint.shared().connector.is_tls()) {
            return State::Failed(Some(error));
        }
        self.tunnel = switch::ask_over_http2(&mut request).map(Box::new);
        match stream.send(request) {
            Ok(sent) => State::Http2(sent, active),
            Err(error) => self.recover(error, &active),
        }
    }

    /// The request failed before a response: again if that can do no harm, else that's it.
    fn recover(&mut self, failed: SendError, active: &ActiveRequest) -> State {
        // An upstream that closes whatever is opened must not be asked again and again: a connection
        // that was made for this request has failed it. Without a cause it only has no room.
        let failed_fresh = self.fresh && failed.error.source().is_some();
        if let Some(request) = failed.unsent.filter(|_| !failed_fresh) {
            // The connection had died idle and nothing was written: as if it had not been there.
            self.request = Some(request);
            return State::Start;
        }
        if failed.error.retry() == Retry::IfConnectionReused
            && let Some(request) = self.repeat.take()
        {
            self.request = Some(request);
            return State::Start;
        }
        active.outcome(false);
        active.broken();
        State::Failed(Some(failed.error))
    }
}

/// Turns that a failed request waits for what the client has sent already.
const DRAIN_TURNS: u8 = 2;

/// Reads what there is of the body, and no more than a socket buffer holds. True at its end.
fn drain(body: &mut Body, cx: &mut Context<'_>) -> bool {
    for _ in 0..64 {
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(None | Some(Err(_))) => return true,
            Poll::Pending => return body.is_end_stream(),
        }
    }
    false
}

fn receive_http1(
    mut connection: Box<Http1Connection>,
    mut response: Response<Incoming>,
    active: ActiveRequest,
    tunnel: Option<Body>,
) -> Result<Response<UpstreamBody>, ProxyError> {
    if is_misframed(&response) {
        active.outcome(false);
        active.broken();
        active.cluster().stats().cx_protocol_error.increment(1);
        connection.close();
        return Err(ProxyError::new(ErrorKind::ProtocolError));
    }
    active.answered(response.status(), response.headers());
    if is_last(response.version(), response.headers()) {
        let headers = response.headers();
        let framed = headers.contains_key(header::CONTENT_LENGTH)
            || headers.contains_key(header::TRANSFER_ENCODING);
        connection.expect_close(framed);
    } else if response.version() == Version::HTTP_10 {
        connection.retire();
    }
    if response.status() == StatusCode::NO_CONTENT {
        // It may say 0, which goes no further (RFC 9110 section 8.6).
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    // The client is answered in its own version, and in Envoy's words.
    *response.version_mut() = Version::HTTP_11;
    response.extensions_mut().remove::<hyper::ext::ReasonPhrase>();
    if let Some(client) = tunnel {
        return switch::receive(connection, response, active, client);
    }
    let (parts, body) = response.into_parts();
    Ok(Response::from_parts(parts, UpstreamBody::http1(body, connection, active)))
}

/// Whether a response leaves in doubt where it ends, which is how responses are smuggled: by two
/// framings or one that is not understood (RFC 9112 section 6.3), or by one of a body that a 204
/// can't have (section 6.1, RFC 9110 section 8.6).
fn is_misframed(response: &Response<Incoming>) -> bool {
    let (mut coding, mut length) = (None, None);
    for (name, line) in response.headers() {
        let said = match *name {
            header::TRANSFER_ENCODING => &mut coding,
            header::CONTENT_LENGTH => &mut length,
            _ => continue,
        };
        if said.replace(line).is_some() {
            return true;
        }
    }
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || length.is_some_and(|length| !is_number(length))
    {
        return true;
    }
    let body = coding.is_some() || length.is_some_and(|length| length != "0");
    (coding.is_some() && length.is_some()) || (body && response.status() == StatusCode::NO_CONTENT)
}

fn is_number(value: &HeaderValue) -> bool {
    !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
}

fn connect_error(error: &Arc<ConnectError>) -> ProxyError {
    let kind = match **error {
        ConnectError::Timeout => ErrorKind::ConnectTimeout,
        _ => ErrorKind::ConnectFailed,
    };
    ProxyError::new(kind).with_source(Arc::clone(error))
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Failed(_) => "Failed",
            State::Draining(..) => "Draining",
            State::Start => "Start",
            State::Connecting(..) => "Connecting",
            State::Waiting(..) => "Waiting",
            State::Http1(..) => "Http1",
            State::Tcp(..) => "Tcp",
            State::Http2(..) => "Http2",
            State::Done => "Done",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
