//! One request and its answer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use front_proxy_layers::http2::{SendBody, SendError, strip_connection};
use h2::Reason;
use h2::server::SendResponse;
use http::{Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::limits::PrematureResets;

pin_project! {
    /// Drives a request of a connection to its end.
    pub(super) struct Stream<F, B> {
        #[pin]
        state: State<F, B>,
        began: Instant,
        kind: RequestKind,
        polled: bool,
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

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Answered, or not worth a mention.
    Done,
    /// The client reset it before its answer, and soon.
    PrematureReset,
}

impl<F, B> Stream<F, B> {
    pub(super) fn new(future: F, respond: SendResponse<Bytes>, kind: RequestKind) -> Self {
        Self {
            state: State::Serving { future, respond },
            began: Instant::now(),
            kind,
            polled: false,
        }
    }
}

impl<F, B, E> Future for Stream<F, B>
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
                    let Poll::Ready(response) = future.poll(cx) else {
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
                    this.state.set(State::Sending { body: SendBody::new(body, stream) });
                }
                StateProj::Sending { mut body } => {
                    match ready!(body.as_mut().poll_send(cx)) {
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
