//! The body of a response on its way from an upstream: it keeps the connection until its end.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::service::ActiveRequest;
use super::tunnel::Tunnel;
use crate::endpoint::{Http1Connection, Http2Streams};
use crate::error::{ErrorKind, ProxyError};

/// A response body that streams from an upstream.
///
/// At its end an HTTP/1 connection goes back to the pool. Dropped before, the connection is
/// closed (HTTP/1) or the stream reset (HTTP/2), and the request is no longer in flight.
pub struct UpstreamBody {
    /// Empty for a tunnel.
    body: Option<Incoming>,
    source: Source,
}

enum Source {
    /// Ended: everything was given back.
    Ended,
    Http1(Box<Http1Connection>, ActiveRequest),
    Http2(#[allow(dead_code)] Http2Streams, ActiveRequest),
    Tunnel(Box<Tunnel>),
}

impl UpstreamBody {
    pub(super) fn http1(
        body: Incoming,
        connection: Box<Http1Connection>,
        active: ActiveRequest,
    ) -> Self {
        // A response without a body may never be polled: it ends here.
        let ended = body.is_end_stream();
        let mut this = Self { body: Some(body), source: Source::Http1(connection, active) };
        if ended {
            this.finish();
        }
        this
    }

    pub(super) fn http2(body: Incoming, stream: Http2Streams, active: ActiveRequest) -> Self {
        let ended = body.is_end_stream();
        let mut this = Self { body: Some(body), source: Source::Http2(stream, active) };
        if ended {
            this.finish();
        }
        this
    }

    /// What comes through a tunnel.
    pub(super) fn tunnel(tunnel: Tunnel) -> Self {
        Self { body: None, source: Source::Tunnel(Box::new(tunnel)) }
    }

    fn finish(&mut self) {
        if let Source::Http1(connection, active) =
            std::mem::replace(&mut self.source, Source::Ended)
        {
            active.endpoint().give_back(connection);
        }
    }

    fn fail(&mut self, kind: ErrorKind) -> ProxyError {
        if let Source::Http1(mut connection, active) =
            std::mem::replace(&mut self.source, Source::Ended)
        {
            // Envoy's codec takes an end in the middle of a message for a broken message.
            active.cluster().stats().cx_protocol_error.increment(1);
            if kind == ErrorKind::ConnectionTerminated {
                connection.closed_by_upstream();
            }
            let home = connection.home();
            drop(connection);
            active.endpoint().vacate(home);
        }
        ProxyError::new(kind)
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if let Source::Http1(connection, active) =
            std::mem::replace(&mut self.source, Source::Ended)
        {
            // The client left, or a timeout struck: the rest of the response is in the way.
            let home = connection.home();
            drop(connection);
            active.endpoint().vacate(home);
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = ProxyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ProxyError>>> {
        let this = &mut *self;
        if let Source::Tunnel(tunnel) = &mut this.source {
            let piece = ready!(tunnel.poll_piece(cx));
            if piece.is_err() {
                this.source = Source::Ended;
            }
            return Poll::Ready(Some(piece.map(Frame::data)));
        }
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        let frame = match &mut this.source {
            Source::Ended | Source::Tunnel(_) => return Poll::Ready(None),
            Source::Http1(connection, _) => {
                let polled =
                    ready!(connection.poll_body(cx, |cx| Pin::new(&mut *body).poll_frame(cx)));
                match polled {
                    Some(frame) => frame,
                    None => {
                        return Poll::Ready(Some(Err(this.fail(ErrorKind::ConnectionTerminated))));
                    }
                }
            }
            Source::Http2(..) => ready!(Pin::new(&mut *body).poll_frame(cx)),
        };
        match frame {
            Some(Ok(frame)) => {
                if frame.is_trailers() || body.is_end_stream() {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                let kind = match this.source {
                    Source::Http2(_, ref active) => {
                        active.cluster().stats().rq_rx_reset.increment(1);
                        ErrorKind::RemoteReset
                    }
                    _ if error.is_parse() => ErrorKind::ProtocolError,
                    _ => ErrorKind::ConnectionTerminated,
                };
                let failed = this.fail(kind).with_source(error);
                Poll::Ready(Some(Err(failed)))
            }
            None => {
                this.finish();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match (&self.source, &self.body) {
            (Source::Ended, _) => true,
            (Source::Tunnel(_), _) => false,
            (_, body) => body.as_ref().is_none_or(Body::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody").field("ended", &self.is_end_stream()).finish_non_exhaustive()
    }
}
