//! What axum knows of a request, in this crate's terms.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, OriginalUri};
use http::Request;

use super::MountLayer;
use crate::forwarded::Peer;

/// How connections to the app come in.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectInfoPeer {
    tls: bool,
}

impl MountLayer {
    /// Takes the client's address from axum's `ConnectInfo<SocketAddr>`, which is there where the app
    /// is served with `into_make_service_with_connect_info`. `tls` says whether it is served over
    /// TLS. A [`Peer`] that is there already has precedence.
    #[must_use]
    pub fn connect_info(mut self, tls: bool) -> Self {
        self.connect_info = Some(ConnectInfoPeer { tls });
        self
    }

    /// Takes the target from axum's `OriginalUri`: wherever the service is nested, it sees the path
    /// that the client asked for. Needs axum's feature `original-uri`, which is one of its defaults.
    #[must_use]
    pub fn original_uri(mut self) -> Self {
        self.original_uri = true;
        self
    }

    pub(super) fn ask_axum<B>(&self, request: &mut Request<B>) {
        if let Some(info) = self.connect_info
            && request.extensions().get::<Peer>().is_none()
            && let Some(ConnectInfo(address)) =
                request.extensions().get::<ConnectInfo<SocketAddr>>()
        {
            let peer = Peer { address: *address, tls: info.tls };
            request.extensions_mut().insert(peer);
        }
        if self.original_uri
            && let Some(OriginalUri(uri)) = request.extensions().get::<OriginalUri>()
        {
            *request.uri_mut() = uri.clone();
        }
    }
}
