//! The owner's end of a gate.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::sync::oneshot;

use crate::connection::http1::detect::Protocol;
use crate::connection::http1::state::GateState;

/// What is left when hyper is done with a connection.
#[derive(Debug)]
pub struct Returned<IO> {
    /// The transport.
    pub io: IO,
    /// What was read and not used. With [`Protocol::Http2`]: the preface.
    pub read: BytesMut,
    /// What the client speaks; HTTP/2 only if [`GateConfig::detect_http2`](crate::connection::http1::GateConfig::detect_http2) is set.
    pub protocol: Protocol,
}

/// The owner's end of an [`Http1Gate`](super::Http1Gate).
#[derive(Debug)]
pub struct GateHandle<IO> {
    pub(super) state: Arc<GateState>,
    pub(super) returned: oneshot::Receiver<Returned<IO>>,
}

impl<IO> GateHandle<IO> {
    /// What the gate shows.
    pub fn state(&self) -> &Arc<GateState> {
        &self.state
    }

    /// The transport, once the gate was dropped (with hyper's connection). `None` while something,
    /// such as a tunnel, still uses it.
    pub fn reclaim(mut self) -> Option<Returned<IO>> {
        self.returned.try_recv().ok()
    }

    /// Waits until nothing uses the transport any more, neither hyper nor a tunnel.
    pub async fn returned(self) -> Option<Returned<IO>> {
        self.returned.await.ok()
    }
}
