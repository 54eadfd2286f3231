//! One request and its response on a shared connection.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use h2::client::ResponseFuture;
use http::{Request, Response, Version};
use http_body::Body as _;

use super::{Http2Stream, Http2Streams};
use crate::body::Body;
use crate::body::RequestProgress;
use crate::endpoint::http1::SendError;
use crate::error::{BoxError, ErrorKind, ProxyError, Retry};
use crate::flow_control::SlowUpstream;
use crate::http2::{self, Http2Body, SendBody};
use crate::interim::{self, Interim};
use crate::route::view;

/// A request that was sent, and its response until that has ended.
///
/// Whoever waits for the response sends the request's body with the same polls: there is no task
/// for it. Dropped before the response has ended, the stream is reset.
pub(crate) struct Http2Exchange {
    response: Coming,
    sending: Option<Pin<Box<SendBody<Body>>>>,
    ended: bool,
    /// The request asks for a tunnel: its own half of the stream has no end.
    tunnel: bool,
    /// The upstream, which has answered, asked for the rest of the request not to be sent.
    spared: bool,
    /// The request that is under way, where it has a body.
    progress: Option<Arc<RequestProgress>>,
    slow: SlowUpstream,
    /// The connection's task has had its turn: the stream is open.
    opened: bool,
    streams: Http2Streams,
}

/// What of the response is waited for.
enum Coming {
    /// Its head. Also an interim response, where somebody wants it; and whether he is internal.
    Head(ResponseFuture, Option<(Interim, bool)>),
    Body(Http2Body),
    Nothing,
}

impl Http2Streams {
    /// Sends a request on this stream.
    pub(crate) fn send(self, request: Request<Body>) -> Result<Http2Exchange, SendError> {
        let unsent = |request, source: Option<h2::Error>| {
            let kind = source.as_ref().map_or(ErrorKind::ConnectionTerminated, classify);
            let mut error = ProxyError::new(kind).with_retry(Retry::IfNotSent);
            if let Some(source) = source {
                error = error.with_source(source);
            }
            SendError { error, unsent: Some(Box::new(request)) }
        };
        let mut send = self.connection().sender();
        // Not to wait: where there is no place now, another connection has one.
        match send.poll_ready(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(Ok(())) => {}
            other => {
                let source = match other {
                    Poll::Ready(Err(error)) => Some(error),
                    _ => None,
                };
                drop(send);
                self.connection().close_when_idle();
                return Err(unsent(request, source));
            }
        }
        let tunnel = request.body().is_switch();
        let progress = request.body().progress().map(Arc::clone);
        let interim = request.extensions().get::<Interim>().cloned();
        let interim = interim.map(|interim| (interim, view::is_internal(request.headers())));
        let (parts, body) = request.into_parts();
        let mut head = Request::from_parts(parts, ());
        http2::strip_connection(head.headers_mut());
        let ends = body.is_end_stream();
        let (response, stream) = send.send_request(head, ends).map_err(|error| SendError {
            error: ProxyError::new(ErrorKind::BadRequest).with_source(error),
            unsent: None,
        })?;
        drop(send);
        let sending = (!ends).then(|| {
            let pending = &self.stats().http2().pending_send_bytes;
            Box::pin(SendBody::new(body, stream, pending).of_request())
        });
        Ok(Http2Exchange {
            response: Coming::Head(response, interim),
            sending,
            ended: false,
            tunnel,
            spared: false,
            progress,
            slow: SlowUpstream::default(),
            opened: false,
            streams: self,
        })
    }
}

impl Http2Exchange {
    /// Ready with the head of the response. Sends the request's body meanwhile.
    pub(crate) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<()>, SendError>> {
        let failed = self.poll_sending(cx).err();
        self.look_for_interim(cx);
        let Coming::Head(response, _) = &mut self.response else {
            return Poll::Pending;
        };
        let error = match (Pin::new(response).poll(cx), failed) {
            (Poll::Ready(Ok(response)), _) => {
                let (mut parts, body) = response.into_parts();
                // The client is answered in its own version.
                parts.version = Version::HTTP_11;
                let body = Http2Body::of_response(body);
                self.ended = body.is_end_stream();
                self.response = Coming::Body(body);
                return Poll::Ready(Ok(Response::from_parts(parts, ())));
            }
            (Poll::Ready(Err(error)), _) => {
                let kind = self.fail(&error);
                if kind == ErrorKind::ProtocolError {
                    // What has sent this head can't be trusted with others.
                    self.streams.connection().abort();
                }
                ProxyError::new(kind).with_source(error)
            }
            (Poll::Pending, Some(error)) => {
                ProxyError::new(ErrorKind::DownstreamClosed).with_source(error)
            }
            (Poll::Pending, None) => return Poll::Pending,
        };
        self.response = Coming::Nothing;
        Poll::Ready(Err(SendError { error, unsent: None }))
    }

    /// Passes the first interim response on, where somebody wants it. Others are nothing to `h2`.
    fn look_for_interim(&mut self, cx: &mut Context<'_>) {
        while let Coming::Head(response, wanted) = &mut self.response
            && let Some((interim, internal)) = wanted
            && let Poll::Ready(Some(Ok(head))) = response.poll_informational(cx)
        {
            if interim::is_passed(head.status()) {
                self.streams.stats().charge(head.status(), *internal);
                interim.put(head.status(), head.headers());
                *wanted = None;
            }
        }
    }

    /// The next frame of the response's body. Sends the request's body meanwhile.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, ProxyError>>> {
        if let Err(error) = self.poll_sending(cx) {
            if self.tunnel {
                // The client has left it. Whoever reads this has been told by its other half.
                return Poll::Pending;
            }
            let error = ProxyError::new(ErrorKind::DownstreamClosed).with_source(error);
            return Poll::Ready(Some(Err(error)));
        }
        let Coming::Body(body) = &mut self.response else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        self.ended = body.is_end_stream();
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) => {
                let kind = self.fail(&error);
                Some(Err(ProxyError::new(kind).with_source(error)))
            }
            None => None,
        })
    }

    /// Whether the response has ended.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.ended
    }

    /// The stream, once its response has begun.
    pub(crate) fn stream(&self) -> Option<Http2Stream> {
        let Coming::Body(body) = &self.response else { return None };
        Some(Http2Stream::new(&self.streams.connection().seen, body.stream_id()))
    }

    /// An error of the request's body is the client's. Those of the stream show in the response.
    fn poll_sending(&mut self, cx: &mut Context<'_>) -> Result<(), BoxError> {
        let Some(sending) = &mut self.sending else {
            return Ok(());
        };
        let sent = sending.as_mut().poll_send(cx);
        let full = sent.is_pending() && sending.pending() > 0;
        if full && !std::mem::replace(&mut self.opened, true) {
            cx.waker().wake_by_ref();
        } else {
            self.slow.look(full, self.progress.as_ref(), self.streams.stats());
        }
        match sent {
            Poll::Pending => Ok(()),
            Poll::Ready(Err(http2::SendError::Body(error))) => {
                sending.as_mut().stream().send_reset(h2::Reason::CANCEL);
                self.sending = None;
                Err(error)
            }
            Poll::Ready(sent) => {
                self.spared = matches!(sent, Err(http2::SendError::Reset(h2::Reason::NO_ERROR)));
                self.sending = None;
                Ok(())
            }
        }
    }

    /// Counts how the stream was reset, as Envoy's connection pool does.
    fn fail(&mut self, error: &h2::Error) -> ErrorKind {
        self.ended = true;
        let kind = classify(error);
        let stats = self.streams.stats();
        match kind {
            ErrorKind::RemoteReset => stats.rq_rx_reset.increment(1),
            ErrorKind::ProtocolError => stats.rq_tx_reset.increment(1),
            ErrorKind::ConnectionTerminated => {
                stats.rq_pending_failure_eject.increment(1);
                self.streams.connection().cut.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
        kind
    }
}

impl Drop for Http2Exchange {
    fn drop(&mut self) {
        // The client has left, a timeout has struck, or the response did not wait for the end of the
        // request. `h2` resets the stream.
        if !self.ended || self.sending.is_some() || self.spared {
            self.streams.stats().rq_tx_reset.increment(1);
        }
    }
}

impl fmt::Debug for Http2Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Exchange")
            .field("sending", &self.sending.is_some())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// What a failed exchange was.
fn classify(error: &h2::Error) -> ErrorKind {
    let reason = error.reason();
    if error.is_go_away() && error.is_remote() {
        // RFC 9113 section 6.8: streams above the last one that GOAWAY names were not looked at.
        return match reason {
            Some(h2::Reason::NO_ERROR) => ErrorKind::RefusedStream,
            _ => ErrorKind::ConnectionTerminated,
        };
    }
    if error.is_reset() && error.is_remote() {
        return match reason {
            Some(h2::Reason::REFUSED_STREAM) => ErrorKind::RefusedStream,
            _ => ErrorKind::RemoteReset,
        };
    }
    if error.is_library() { ErrorKind::ProtocolError } else { ErrorKind::ConnectionTerminated }
}
