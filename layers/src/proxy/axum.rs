//! What axum knows of a request, in this crate's terms.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, OriginalUri};
use http::Request;

use super::ProxyBuilder;
use super::builder::Mount;
use crate::forwarded::Peer;

/// How connections to the app come in.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectInfoPeer {
    tls: bool,
}

impl ProxyBuilder {
    /// Takes the client's address from axum's `ConnectInfo<SocketAddr>`, which is there where the app
    /// is served with `into_make_service_with_connect_info`. `tls` says whether it is served over
    /// TLS. A [`Peer`] that is there already has precedence.
    ///
    /// ```
    /// use std::net::SocketAddr;
    ///
    /// use axum::Router;
    /// use front_proxy_layers::cluster::Cluster;
    /// use front_proxy_layers::forwarded::ForwardedPolicy;
    /// use front_proxy_layers::proxy::Proxy;
    ///
    /// let edge = ForwardedPolicy { use_remote_address: true, ..ForwardedPolicy::default() };
    /// let proxy = Proxy::builder().route("/", Cluster::builder("service1").build());
    /// let proxy = proxy.forwarded(edge).connect_info(false).build();
    /// let app = Router::new().fallback_service(proxy);
    /// let service = app.into_make_service_with_connect_info::<SocketAddr>();
    /// # let _ = service;
    /// ```
    pub fn connect_info(mut self, tls: bool) -> Self {
        self.mount.connect_info = Some(ConnectInfoPeer { tls });
        self
    }

    /// Takes the target from axum's `OriginalUri`: wherever the proxy is nested, it sees the path
    /// that the client asked for. Needs axum's feature `original-uri`, which is one of its defaults.
    pub fn original_uri(mut self) -> Self {
        self.mount.original_uri = true;
        self
    }
}

pub(super) fn prepare<B>(mount: &Mount, request: &mut Request<B>) {
    if let Some(info) = mount.connect_info
        && request.extensions().get::<Peer>().is_none()
        && let Some(ConnectInfo(address)) = request.extensions().get::<ConnectInfo<SocketAddr>>()
    {
        let peer = Peer { address: *address, tls: info.tls };
        request.extensions_mut().insert(peer);
    }
    if mount.original_uri
        && let Some(OriginalUri(uri)) = request.extensions().get::<OriginalUri>()
    {
        *request.uri_mut() = uri.clone();
    }
}
