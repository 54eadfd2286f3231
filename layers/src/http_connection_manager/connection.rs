use std::sync::Arc;

use http::HeaderValue;

#[cfg(feature = "access-log")]
use crate::access_log::ClientFault;
use crate::forwarded::Peer;
use crate::stream_info::DownstreamConnection;

/// What is known of a connection before its first request. By default nothing: then the peer is each
/// request's own, the [`Peer`] in its extensions.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    pub(super) peer: Option<Peer>,
    pub(super) certificate: Option<HeaderValue>,
    pub(super) downstream: Option<Arc<DownstreamConnection>>,
    #[cfg(feature = "access-log")]
    pub(super) fault: Option<Arc<dyn ClientFault>>,
}

impl Connection {
    /// One whose other end this is.
    pub fn new(peer: Peer) -> Self {
        Self { peer: Some(peer), ..Self::default() }
    }

    /// The certificate that the client has shown, as `x-forwarded-client-cert` describes it
    /// (`Hash=...`).
    #[must_use]
    pub fn certificate(mut self, certificate: Option<HeaderValue>) -> Self {
        self.certificate = certificate;
        self
    }

    /// What access logs and header values tell of it. Nobody asks for it unless the connection
    /// manager [is observed](super::HttpConnectionManager::is_observed).
    #[must_use]
    pub fn downstream(mut self, downstream: Option<Arc<DownstreamConnection>>) -> Self {
        self.downstream = downstream;
        self
    }

    /// Who knows what the client did wrong on it, for access logs.
    #[cfg(feature = "access-log")]
    #[must_use]
    pub fn fault(mut self, fault: Arc<dyn ClientFault>) -> Self {
        self.fault = Some(fault);
        self
    }
}
