//! One request and its answer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use front_proxy_layers::flow_control::SlowClient;
use front_proxy_layers::http2::{SendBody, SendError, strip_connection};
use front_proxy_layers::interim::Interim;
use h2::Reason;
use h2::server::SendResponse;
use http::{Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::limits::PrematureResets;
use super::stall::Stall;
use super::state::GateState;
use crate::listener::FilterChain;

pin_project! {
    /// Drives a request of a connection to its end.
    pub(super) struct Stream<'a, F, B> {
        #[pin]
        state: State<F, B>,
        began: Instant,
        kind: RequestKind,
        polled: bool,
        slow: SlowClient,
        stall: Stall,
        gate: &'a GateState,
        passing: Option<Passing<'a>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Serving { #[pin] future: F, respond: SendResponse<Bytes> },
        Sending { #[pin] body: SendBody<B> },
    }
}

/// What of a request decides how it is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestKind {
    pub(super) head: bool,
    pub(super) has_body: bool,
}

/// An interim response on its way to the client.
#[derive(Debug)]
pub(super) struct Passing<'a> {
    pub(super) interim: Interim,
    pub(super) chain: &'a FilterChain,
}

impl Passing<'_> {
    fn look(&self, respond: &mut SendResponse<Bytes>) {
        if let Some(head) = self.interim.take() {
            say_interim(self.chain, respond, head);
        }
    }
}

/// Sends an interim response, which counts as a response.
#[cold]
pub(super) fn say_interim(
    chain: &FilterChain,
    respond: &mut SendResponse<Bytes>,
    head: Response<()>,
) {
    let status = head.status();
    // Where the client has gone, the request will find out.
    let _ = respond.send_informational(head);
    chain.stats.charge(status);
    chain.listener_codes.charge(status);
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Answered, or not worth a mention.
    Done,
    /// The client reset it before its answer, and soon.
    PrematureReset,
}

impl<'a, F, B> Stream<'a, F, B> {
    /// `stall` is how long a client may take to make room for a response; `passing` is where interim
    /// responses come in, if the client is to have them.
    pub(super) fn new(
        future: F,
        respond: SendResponse<Bytes>,
        kind: RequestKind,
        (gate, stall): (&'a GateState, Option<Duration>),
        passing: Option<Passing<'a>>,
    ) -> Self {
        Self {
            state: State::Serving { future, respond },
            began: Instant::now(),
            kind,
            polled: false,
            slow: SlowClient::default(),
            stall: Stall::new(stall),
            gate,
            passing,
        }
    }
}

impl<F, B, E> Future for Stream<'_, F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Serving { future, respond } => {
                    // A body that was reset fails inside too, but that must not make an answer.
                    if this.kind.has_body
                        && std::mem::replace(this.polled, true)
                        && let Poll::Ready(reset) = respond.poll_reset(cx)
                    {
                        return Poll::Ready(outcome(&reset, *this.began));
                    }
                    let polled = future.poll(cx);
                    if let Some(passing) = this.passing {
                        passing.look(respond);
                    }
                    let Poll::Ready(response) = polled else {
                        // Nobody waits for it any more, once the client has reset it.
                        let reset = ready!(respond.poll_reset(cx));
                        return Poll::Ready(outcome(&reset, *this.began));
                    };
                    let Ok(response) = response else {
                        respond.send_reset(Reason::INTERNAL_ERROR);
                        return Poll::Ready(Outcome::Done);
                    };
                    let (parts, body) = response.into_parts();
                    let mut head = Response::new(());
                    *head.status_mut() = parts.status;
                    *head.headers_mut() = parts.headers;
                    strip_connection(head.headers_mut());
                    let ends = this.kind.head || is_bodiless(parts.status) || body.is_end_stream();
                    let stream = match respond.send_response(head, ends) {
                        Ok(stream) => stream,
                        Err(error) => {
                            tracing::debug!(%error, "response not sent");
                            respond.send_reset(Reason::INTERNAL_ERROR);
                            return Poll::Ready(Outcome::Done);
                        }
                    };
                    if ends {
                        return Poll::Ready(Outcome::Done);
                    }
                    this.state.set(State::Sending {
                        body: SendBody::new(body, stream, &this.gate.codec.pending_send_bytes),
                    });
                }
                StateProj::Sending { mut body } => {
                    let sent = this.slow.read(|| body.as_mut().poll_send(cx));
                    let waits = sent.is_pending() && body.pending() > 0;
                    let more = waits && !body.is_last();
                    this.slow.look(more.then(|| body.taken()));
                    let room = waits.then(|| (body.taken(), body.pending()));
                    if this.stall.poll(cx, room).is_ready() {
                        this.gate.stall(more);
                        body.stream().send_reset(Reason::INTERNAL_ERROR);
                        return Poll::Ready(Outcome::Done);
                    }
                    match ready!(sent) {
                        Ok(()) => {}
                        Err(SendError::Body(error)) => {
                            tracing::debug!(%error, "response body failed");
                            body.stream().send_reset(Reason::INTERNAL_ERROR);
                        }
                        Err(SendError::Reset(_) | SendError::Connection(_)) => {}
                    }
                    return Poll::Ready(Outcome::Done);
                }
            }
        }
    }
}

fn outcome(reset: &Result<Reason, h2::Error>, began: Instant) -> Outcome {
    // Also those that `h2` made for an error of the client count: they cost as much.
    if reset.is_ok() && began.elapsed() < PrematureResets::LIFETIME {
        Outcome::PrematureReset
    } else {
        Outcome::Done
    }
}

/// RFC 9110 section 6.4.1.
fn is_bodiless(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}
