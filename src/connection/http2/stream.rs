//! One request and its answer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use front_proxy_layers::http2::{SendBody, SendError, strip_connection};
use h2::Reason;
use h2::server::SendResponse;
use http::{HeaderMap, Response, StatusCode, header};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::date;
use super::limits::PrematureResets;

pin_project! {
    /// Drives a request of a connection to its end.
    pub(super) struct Stream<F, B> {
        #[pin]
        state: State<F, B>,
        began: Instant,
        head: bool,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Serving { #[pin] future: F, respond: SendResponse<Bytes> },
        Sending { #[pin] body: SendBody<B> },
    }
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
    pub(super) fn new(future: F, respond: SendResponse<Bytes>, head: bool) -> Self {
        Self { state: State::Serving { future, respond }, began: Instant::now(), head }
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
                    let Poll::Ready(response) = future.poll(cx) else {
                        // Nobody waits for it any more, once the client has reset it.
                        let reset = ready!(respond.poll_reset(cx));
                        let soon = this.began.elapsed() < PrematureResets::LIFETIME;
                        return Poll::Ready(match reset {
                            Ok(_) if soon => Outcome::PrematureReset,
                            _ => Outcome::Done,
                        });
                    };
                    let Ok(response) = response else {
                        respond.send_reset(Reason::INTERNAL_ERROR);
                        return Poll::Ready(Outcome::Done);
                    };
                    let (parts, body) = response.into_parts();
                    let mut head = Response::new(());
                    *head.status_mut() = parts.status;
                    *head.headers_mut() = parts.headers;
                    clean(head.headers_mut());
                    let ends = *this.head || is_bodiless(parts.status) || body.is_end_stream();
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

/// RFC 9110 section 6.4.1.
fn is_bodiless(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// What the layers leave to the codec.
fn clean(headers: &mut HeaderMap) {
    strip_connection(headers);
    if !headers.contains_key(header::DATE)
        && let Some(date) = date::now()
    {
        headers.insert(header::DATE, date);
    }
}
