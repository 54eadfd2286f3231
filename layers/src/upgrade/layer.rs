use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version};
use hyper::upgrade::OnUpgrade;
use tower_layer::Layer;
use tower_service::Service;

use super::asked::{Asked, protocol};
use super::{ResponseBody, ResponseFuture, Source};
use crate::body::Body;
use crate::error::BoxError;
use crate::route::UpgradeRule;

/// Makes requests to switch protocols pass; see the [module](super).
#[derive(Clone, Debug, Default)]
pub struct UpgradeLayer {
    rules: Arc<[UpgradeRule]>,
    routes_decide: bool,
}

impl UpgradeLayer {
    /// The layer. No protocol is allowed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows a switch to this protocol.
    #[must_use]
    pub fn allow(self, protocol: impl Into<String>) -> Self {
        let rule = UpgradeRule { upgrade_type: protocol.into(), enabled: true, connect_tcp: false };
        let rules: Vec<_> = self.rules.iter().cloned().chain([rule]).collect();
        self.rules(rules)
    }

    /// Allows what these rules say (a connection manager's `upgrade_configs`).
    #[must_use]
    pub fn rules(mut self, rules: impl Into<Arc<[UpgradeRule]>>) -> Self {
        self.rules = rules.into();
        self
    }

    /// Lets the [router](crate::router) decide: the rules of a route go before the ones here.
    /// Without this a protocol that is not allowed here never gets that far.
    #[must_use]
    pub fn routes_decide(mut self) -> Self {
        self.routes_decide = true;
        self
    }
}

impl<S> Layer<S> for UpgradeLayer {
    type Service = Upgrade<S>;

    fn layer(&self, inner: S) -> Upgrade<S> {
        Upgrade { inner, layer: self.clone() }
    }
}

/// Makes requests to switch protocols pass; see the [module](super).
#[derive(Clone, Debug)]
pub struct Upgrade<S> {
    inner: S,
    layer: UpgradeLayer,
}

impl<S, B, R> Service<Request<B>> for Upgrade<S>
where
    S: Service<Request<Body>, Response = Response<R>>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: http_body::Body + Send + 'static,
    R::Data: Send,
    R::Error: Send,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut request = request.map(Body::new);
        let switch = match request.extensions_mut().remove::<OnUpgrade>() {
            Some(client) => self.begin(&mut request, Some(client)),
            // A server that serves HTTP/2 with `h2` has no more to give than the stream's body.
            None if request.method() == Method::CONNECT && request.body().is_http2() => {
                self.begin(&mut request, None)
            }
            None => None,
        };
        ResponseFuture::new(self.inner.call(request), switch)
    }
}

/// A switch that has been asked for.
#[derive(Debug)]
pub(super) struct Switch {
    /// None where the body of the request is all of the client's stream.
    pub(super) client: Option<OnUpgrade>,
    pub(super) source: Arc<Source>,
    pub(super) asked: Asked,
    pub(super) http2: bool,
}

impl<S> Upgrade<S> {
    fn begin(&self, request: &mut Request<Body>, client: Option<OnUpgrade>) -> Option<Switch> {
        let http2 = request.version() == Version::HTTP_2;
        let protocol = protocol(request)?;
        let allowed = self.layer.allows(&protocol);
        if !allowed && !self.layer.routes_decide {
            return None;
        }
        let asked = Asked::new(protocol, allowed);
        let source = Arc::new(Source::default());
        let tunnel = Body::switch(Arc::clone(&source), asked.clone());
        let body = std::mem::replace(request.body_mut(), tunnel);
        if client.is_none() {
            source.prepare(body);
        }
        request.extensions_mut().insert(asked.clone());
        Some(Switch { client, source, asked, http2 })
    }
}

impl UpgradeLayer {
    fn allows(&self, protocol: &HeaderValue) -> bool {
        let rule = self
            .rules
            .iter()
            .find(|rule| protocol.as_bytes().eq_ignore_ascii_case(rule.upgrade_type.as_bytes()));
        rule.is_some_and(|rule| rule.enabled)
    }
}
