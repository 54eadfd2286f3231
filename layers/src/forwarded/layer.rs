use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Request};
use tower_layer::Layer;
use tower_service::Service;

use super::policy::UNKNOWN;
use super::{Client, ForwardedPolicy, Peer};
use crate::stream_info::StreamInfo;

/// Sets `x-forwarded-*` and takes out what is not trusted; see the [module](super).
#[derive(Clone, Debug, Default)]
pub struct ForwardedLayer {
    policy: Arc<ForwardedPolicy>,
    peer: Option<Peer>,
    certificate: Option<HeaderValue>,
    share_client: bool,
}

impl ForwardedLayer {
    /// By this policy. The peer is taken from the request's extensions (a [`Peer`]).
    pub fn new(policy: impl Into<Arc<ForwardedPolicy>>) -> Self {
        Self { policy: policy.into(), peer: None, certificate: None, share_client: false }
    }

    /// For one connection, whose peer is known.
    #[must_use]
    pub fn peer(mut self, peer: impl Into<Option<Peer>>) -> Self {
        self.peer = peer.into();
        self
    }

    /// For one connection: the certificate that the client has shown, as
    /// `x-forwarded-client-cert` describes it (`Hash=...`).
    #[must_use]
    pub fn certificate(mut self, certificate: Option<HeaderValue>) -> Self {
        self.certificate = certificate;
        self
    }

    /// Puts a [`Client`] into each request's extensions, for services further in that ask whose
    /// it is. Default `false`.
    #[must_use]
    pub fn share_client(mut self, share: bool) -> Self {
        self.share_client = share;
        self
    }
}

impl<S> Layer<S> for ForwardedLayer {
    type Service = Forwarded<S>;

    fn layer(&self, inner: S) -> Forwarded<S> {
        Forwarded {
            inner,
            policy: Arc::clone(&self.policy),
            peer: self.peer,
            certificate: self.certificate.clone(),
            share_client: self.share_client,
        }
    }
}

/// Sets `x-forwarded-*` and takes out what is not trusted; see the [module](super).
#[derive(Clone, Debug)]
pub struct Forwarded<S> {
    inner: S,
    policy: Arc<ForwardedPolicy>,
    peer: Option<Peer>,
    certificate: Option<HeaderValue>,
    share_client: bool,
}

impl<S, B> Service<Request<B>> for Forwarded<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let peer = self.peer.or_else(|| request.extensions().get().copied()).unwrap_or(UNKNOWN);
        if self.share_client {
            let address = self.policy.client(request.headers(), peer);
            request.extensions_mut().insert(Client { address, peer: peer.address });
        }
        self.policy.apply(request.headers_mut(), peer, self.certificate.as_ref());
        if let Some(info) = StreamInfo::of(request.extensions()) {
            info.set_client(self.policy.client_address(request.headers(), peer));
        }
        self.inner.call(request)
    }
}
