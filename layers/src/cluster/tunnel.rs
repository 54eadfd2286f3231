//! The upstream's half of a tunnel.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::futures::OwnedNotified;
use tokio::task::AbortHandle;

use super::service::ActiveRequest;
use crate::body::Body;
use crate::endpoint::{TunnelConnection, UpstreamIo};
use crate::error::{ErrorKind, ProxyError};
use crate::upgrade;

/// What the upstream sends through a tunnel; what the client sends is written by a task that ends
/// with this.
pub(super) struct Tunnel {
    /// Read together with the head of the response.
    first: Bytes,
    upstream: ReadHalf<UpstreamIo>,
    writer: AbortHandle,
    connection: TunnelConnection,
    active: ActiveRequest,
    /// Ready when the endpoint has failed, where the tunnel ends with it.
    failure: Option<Pin<Box<OwnedNotified>>>,
}

impl Tunnel {
    pub(super) fn start(
        (io, first): (UpstreamIo, Bytes),
        client: Body,
        connection: TunnelConnection,
        active: ActiveRequest,
    ) -> Self {
        let (upstream, write) = tokio::io::split(io);
        let writer = tokio::spawn(forward(client, write)).abort_handle();
        let failure = match connection.is_http1() {
            true => None,
            false => active.endpoint().failure().map(Box::pin),
        };
        Self { first, upstream, writer, connection, active, failure }
    }

    /// The next piece. The upstream's end is an error: to Envoy's mind it resets the stream.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ProxyError>> {
        if !self.first.is_empty() {
            return Poll::Ready(Ok(std::mem::take(&mut self.first)));
        }
        if let Some(failure) = &mut self.failure
            && failure.as_mut().poll(cx).is_ready()
        {
            self.failure = None;
            return Poll::Ready(Err(ProxyError::new(ErrorKind::ConnectionTerminated)));
        }
        let error = match ready!(upgrade::poll_piece(&mut self.upstream, cx)) {
            Ok(piece) if !piece.is_empty() => return Poll::Ready(Ok(piece)),
            Ok(_) => ProxyError::new(ErrorKind::ConnectionTerminated),
            Err(error) => ProxyError::new(ErrorKind::ConnectionTerminated).with_source(error),
        };
        self.connection.closed_by_upstream();
        if self.connection.is_http1() {
            // A reset is a failure, also where it is how the other protocol ends: Envoy counts a
            // WebSocket that its endpoint closes.
            self.active.broken();
        }
        Poll::Ready(Err(error))
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

/// Writes what the client sends until it leaves.
async fn forward(mut client: Body, mut upstream: WriteHalf<UpstreamIo>) {
    while let Some(Ok(frame)) = client.frame().await {
        let Ok(mut data) = frame.into_data() else { continue };
        // An upstream that takes no more has closed: the reading half will say so.
        if upstream.write_all_buf(&mut data).await.is_err() || upstream.flush().await.is_err() {
            return;
        }
    }
}
