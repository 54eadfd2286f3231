//! The body of a response on its way from an upstream: it keeps the connection until its end.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::service::ActiveRequest;
use super::tunnel::Tunnel;
use crate::endpoint::{Http1Connection, Http2Exchange};
use crate::error::{ErrorKind, ProxyError};
use crate::flow_control::Upstream;

/// A response body that streams from an upstream.
///
/// At its end an HTTP/1 connection goes back to the pool. Dropped before, the connection is
/// closed (HTTP/1) or the stream reset (HTTP/2), and the request is no longer in flight.
pub struct UpstreamBody {
    source: Source,
}

enum Source {
    /// Ended: everything was given back.
    Ended,
    Http1(Incoming, Box<Http1Connection>, ActiveRequest),
    Http2(Http2Exchange, ActiveRequest),
    Tunnel(Box<Tunnel>),
}

impl UpstreamBody {
    pub(super) fn http1(
        body: Incoming,
        connection: Box<Http1Connection>,
        active: ActiveRequest,
    ) -> Self {
        let ended = body.is_end_stream();
        let mut this = Self { source: Source::Http1(body, connection, active) };
        // A response without a body may never be polled: it ends here.
        if ended {
            this.finish();
        }
        this
    }

    pub(super) fn http2(exchange: Http2Exchange, active: ActiveRequest) -> Self {
        if exchange.is_end_stream() {
            return Self { source: Source::Ended };
        }
        Self { source: Source::Http2(exchange, active) }
    }

    /// What comes through a tunnel.
    pub(super) fn tunnel(tunnel: Tunnel) -> Self {
        Self { source: Source::Tunnel(Box::new(tunnel)) }
    }

    fn finish(&mut self) {
        if let Source::Http1(_, connection, active) =
            std::mem::replace(&mut self.source, Source::Ended)
        {
            active.endpoint().give_back(connection);
        }
    }

    fn fail(&mut self, kind: ErrorKind) -> ProxyError {
        if let Source::Http1(_, mut connection, active) =
            std::mem::replace(&mut self.source, Source::Ended)
        {
            active.broken();
            active.cluster().stats().cx_protocol_error.increment(1);
            if kind == ErrorKind::ConnectionTerminated {
                connection.closed_by_upstream();
            }
            connection.close();
        }
        // Envoy's codec takes an end in the middle of a message for a broken message.
        ProxyError::new(ErrorKind::ProtocolError)
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if let Source::Http1(_, connection, _) = std::mem::replace(&mut self.source, Source::Ended)
        {
            // The client left, or a timeout struck: the rest of the response is in the way.
            connection.close();
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
        match &mut this.source {
            Source::Ended => Poll::Ready(None),
            Source::Http1(body, connection, active) => {
                let polled =
                    ready!(connection.poll_body(cx, |cx| Pin::new(&mut *body).poll_frame(cx)));
                let ended = body.is_end_stream();
                Poll::Ready(match polled {
                    Some(Some(Ok(frame))) => {
                        let dropped = frame.is_trailers() && !connection.passes_trailers();
                        if frame.is_trailers() || ended {
                            this.finish();
                        } else {
                            Upstream::tell(active.cluster().stats(), || None);
                        }
                        (!dropped).then_some(Ok(frame))
                    }
                    Some(Some(Err(error))) => {
                        let kind = if error.is_parse() {
                            ErrorKind::ProtocolError
                        } else {
                            ErrorKind::ConnectionTerminated
                        };
                        Some(Err(this.fail(kind).with_source(error)))
                    }
                    Some(None) => {
                        this.finish();
                        None
                    }
                    None => Some(Err(this.fail(ErrorKind::ConnectionTerminated))),
                })
            }
            Source::Http2(exchange, active) => {
                let frame = ready!(exchange.poll_frame(cx));
                if let Some(Err(_)) = &frame {
                    active.broken();
                }
                if exchange.is_end_stream() || !matches!(frame, Some(Ok(_))) {
                    this.source = Source::Ended;
                } else {
                    Upstream::tell(active.cluster().stats(), || exchange.stream());
                }
                Poll::Ready(frame)
            }
            Source::Tunnel(tunnel) => {
                let piece = ready!(tunnel.poll_piece(cx));
                if piece.is_err() {
                    this.source = Source::Ended;
                }
                Poll::Ready(Some(piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Ended => true,
            Source::Http1(body, ..) => body.is_end_stream(),
            Source::Http2(exchange, _) => exchange.is_end_stream(),
            Source::Tunnel(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Ended => SizeHint::with_exact(0),
            Source::Http1(body, ..) => body.size_hint(),
            Source::Http2(..) | Source::Tunnel(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody").field("ended", &self.is_end_stream()).finish_non_exhaustive()
    }
}
