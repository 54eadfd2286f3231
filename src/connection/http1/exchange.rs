//! Telling the gate when an answer has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use front_proxy_layers::body::RequestProgress;
use front_proxy_layers::flow_control::Upstream;
use front_proxy_layers::interim::Interim;
use front_proxy_layers::sanitize::is_last;
use front_proxy_layers::trailers::TrailerBody;
use front_proxy_layers::upgrade::is_granted;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::service::Service;
use pin_project_lite::pin_project;

use super::head::show_expect;
use super::state::GateState;
use crate::shutdown::Signal;

/// One request and its answer. Dropping it tells the gate that the answer has ended, so it belongs
/// into the body of the answer: hyper drops that when it has taken all of it.
#[derive(Debug)]
pub struct Exchange(Arc<GateState>);

impl Exchange {
    /// Begins with the request hyper hands to the service.
    pub fn begin(state: &Arc<GateState>) -> Self {
        Self(Arc::clone(state))
    }

    /// The connection's state.
    pub fn state(&self) -> &Arc<GateState> {
        &self.0
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// Holds an [`Exchange`] for each request until the body of the answer is dropped.
#[derive(Clone, Debug)]
pub struct TrackedService<S> {
    inner: S,
    state: Arc<GateState>,
    max_requests: u64,
    signal: Option<Signal>,
    passes_interim: bool,
}

impl<S> TrackedService<S> {
    /// Wraps the service of one connection.
    pub fn new(inner: S, state: Arc<GateState>) -> Self {
        Self { inner, state, max_requests: u64::MAX, signal: None, passes_interim: false }
    }

    /// Closes the connection after an answer that is given while `signal` asks clients to leave.
    #[must_use]
    pub fn signal(mut self, signal: Signal) -> Self {
        self.signal = Some(signal);
        self
    }

    /// Passes interim responses of upstreams on, and leaves `Expect: 100-continue` to them
    /// (`proxy_100_continue`).
    #[must_use]
    pub fn pass_interim(mut self, passes: bool) -> Self {
        self.passes_interim = passes;
        self
    }

    /// Closes the connection after so many requests: the last answer says `connection: close`.
    #[must_use]
    pub fn max_requests(mut self, max: u64) -> Self {
        self.max_requests = max;
        self
    }
}

impl<S, B> Service<Request<Incoming>> for TrackedService<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
{
    type Response = Response<ExchangeBody<B>>;
    type Error = S::Error;
    type Future = TrackedFuture<S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let exchange = Exchange::begin(&self.state);
        let leave = self.signal.as_ref().is_some_and(Signal::asks_to_leave);
        if leave {
            self.state.set_leaving();
        }
        let last = leave
            || self.state.requests() >= self.max_requests
            || is_last(request.version(), request.headers());
        let chunks = request.version() == Version::HTTP_11;
        let asked = Asked::of(request.method());
        if self.passes_interim {
            show_expect(request.headers_mut());
        }
        // An HTTP/1.0 client knows none (RFC 9110 section 15.2).
        let interim = (self.passes_interim && chunks).then(Interim::default);
        if let Some(interim) = &interim {
            request.extensions_mut().insert(interim.clone());
        }
        let inner = self.inner.call(request);
        TrackedFuture {
            inner,
            exchange: Some(exchange),
            interim,
            last,
            asked,
            chunks,
            at_once: true,
        }
    }
}

/// What of a method decides how the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Head,
    Connect,
    Other,
}

impl Asked {
    fn of(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::Head,
            Method::CONNECT => Self::Connect,
            _ => Self::Other,
        }
    }
}

pin_project! {
    /// The answer of a [`TrackedService`].
    #[derive(Debug)]
    pub struct TrackedFuture<F> {
        #[pin]
        inner: F,
        exchange: Option<Exchange>,
        interim: Option<Interim>,
        last: bool,
        asked: Asked,
        chunks: bool,
        // Not polled yet.
        at_once: bool,
    }
}

impl<F, B, E> Future for TrackedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
{
    type Output = Result<Response<ExchangeBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let at_once = std::mem::take(this.at_once);
        let polled = this.inner.poll(cx);
        if let (Some(interim), Some(exchange)) = (this.interim, this.exchange.as_ref())
            && let Some(head) = interim.take()
        {
            exchange.state().set_interim(&head);
        }
        let answer = ready!(polled);
        let exchange = this.exchange.take();
        Poll::Ready(answer.map(|mut answer| {
            // Where the layers above say `close`, they have not read the request to its end. An
            // answer that asked nobody else comes, in Envoy, before the end of the request is seen;
            // an HTTP/1.0 client is not waited for.
            let early = ends_connection(&answer) || (at_once && *this.last && *this.chunks);
            if let Some(exchange) = exchange.as_ref().filter(|_| early) {
                exchange.state().set_delay_close();
            }
            let status = answer.status();
            let tunnel = status == StatusCode::SWITCHING_PROTOCOLS
                || is_granted(*this.asked == Asked::Connect, status);
            // An HTTP/1.0 client is told of the end by the end of the connection.
            let endless = !*this.chunks && !answer.headers().contains_key(CONTENT_LENGTH);
            if (*this.last || endless) && !tunnel {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if !*this.chunks && ends_connection(&answer) {
                // hyper would tell a client of HTTP/1.0 that asked for it that the connection stays.
                *answer.version_mut() = Version::HTTP_10;
            }
            if let (Some(request), Some(exchange)) =
                (answer.extensions().get::<Arc<RequestProgress>>(), &exchange)
                && request.completed_at().is_none()
            {
                // Answered before it was read: the client may be sending still, and would lose
                // the answer to a reset.
                exchange.state().set_delay_close();
            }
            if let Some(exchange) = &exchange
                && *this.chunks
                && *this.asked == Asked::Head
                && !has_length(&answer)
            {
                exchange.state().set_chunked_head();
            }
            if let Some(phrase) = reason_phrase(status) {
                answer.extensions_mut().insert(phrase);
            }
            let announced = if tunnel { None } else { announced(&answer) };
            let (parts, body) = answer.into_parts();
            let slot = exchange.as_ref().and_then(|exchange| exchange.state().trailers());
            // An HTTP/1.0 client knows no chunks.
            let slot = slot.filter(|_| *this.chunks);
            let inner = if *this.asked == Asked::Head || is_bodiless(status) {
                TrailerBody::unwritten(body)
            } else {
                TrailerBody::new(body, &parts.headers, slot)
            };
            Response::from_parts(
                parts,
                ExchangeBody { announced, ..ExchangeBody::of(inner, exchange) },
            )
        }))
    }
}

/// Envoy's words for a status, where they are not hyper's.
fn reason_phrase(status: StatusCode) -> Option<ReasonPhrase> {
    Some(match status.as_u16() {
        203 => ReasonPhrase::from_static(b"Non-Authoritative Information"),
        418 | 451 => ReasonPhrase::from_static(b"Unknown"),
        _ if status.canonical_reason().is_none() => ReasonPhrase::from_static(b"Unknown"),
        _ => return None,
    })
}

pin_project! {
    /// A body that ends its [`Exchange`] when it is dropped.
    pub struct ExchangeBody<B: Body> {
        #[pin]
        inner: TrailerBody<B>,
        exchange: Option<Exchange>,
        announced: Option<u64>,
        failed: Option<B::Error>,
        upstream: Option<Upstream>,
        bytes: u64,
    }
}

fn ends_connection<B>(answer: &Response<B>) -> bool {
    answer.headers().get(CONNECTION).is_some_and(|value| value == "close")
}

/// Whether the length of an answer's body is known, if only from its status (RFC 9112 section 6.3).
fn has_length<B>(answer: &Response<B>) -> bool {
    is_bodiless(answer.status())
        || answer.status().is_informational()
        || answer.headers().contains_key(CONTENT_LENGTH)
}

fn is_bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The length that an answer announces, where there is no body to send. hyper writes
/// `content-length` where it stands only if the body says that there is something to come.
fn announced<B: Body>(answer: &Response<B>) -> Option<u64> {
    let length = || answer.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse::<u64>().ok();
    match answer.status() {
        // Of a body that it has not (RFC 9110 section 8.6).
        StatusCode::NOT_MODIFIED => length().filter(|length| *length > 0),
        status if is_bodiless(status) || status.is_informational() => None,
        // Left to itself, hyper writes it behind everything else.
        _ if answer.body().is_end_stream() => length().filter(|length| *length == 0),
        _ => None,
    }
}

impl<B> ExchangeBody<B>
where
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
{
    /// Ties `exchange` to `inner`.
    pub fn new(inner: B, exchange: Exchange) -> Self {
        Self::of(TrailerBody::without(inner), Some(exchange))
    }

    fn of(inner: TrailerBody<B>, exchange: Option<Exchange>) -> Self {
        Self { inner, exchange, announced: None, failed: None, upstream: None, bytes: 0 }
    }
}

impl<B: Body + Unpin> Body for ExchangeBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.announced.is_some() {
            return Poll::Ready(None);
        }
        let mut this = self.project();
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let anonymous = this.upstream.is_none();
        let polled = Upstream::note(this.upstream, || this.inner.as_mut().poll_frame(cx));
        if let Some(exchange) = this.exchange {
            let state = exchange.state();
            if let Some(upstream) = this.upstream.as_ref().filter(|_| anonymous) {
                state.served_by(upstream.clone());
            }
            let mut more = false;
            if let Poll::Ready(Some(Ok(frame))) = &polled {
                *this.bytes += frame.data_ref().map_or(0, |data| data.remaining() as u64);
                more = !this.inner.is_end_stream();
            }
            state.read_answer(*this.bytes, more);
        }
        match ready!(polled) {
            Some(Err(error)) => {
                // The rest will not come, but what is here should still reach the client. hyper
                // drops what it has not written when it sees the error, so it sees it a turn late.
                if let Some(exchange) = &this.exchange {
                    exchange.state().set_delay_close();
                }
                *this.failed = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.announced.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.announced.map_or_else(|| self.inner.size_hint(), SizeHint::with_exact)
    }
}

impl<B: Body> std::fmt::Debug for ExchangeBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeBody").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}
