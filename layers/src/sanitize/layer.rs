use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{Upgrade, request_headers, response_headers};
use crate::error::{ErrorKind, ProxyError};
use crate::route::UpgradeRule;

/// Takes hop-by-hop headers out of requests and responses; see the [module](super).
#[derive(Clone, Debug, Default)]
pub struct SanitizeLayer {
    upgrades: Arc<[UpgradeRule]>,
}

impl SanitizeLayer {
    /// The layer; protocol switches are refused.
    pub fn new() -> Self {
        Self::default()
    }

    /// Protocol switches that these rules name are let through.
    #[must_use]
    pub fn upgrades(mut self, rules: impl Into<Arc<[UpgradeRule]>>) -> Self {
        self.upgrades = rules.into();
        self
    }
}

impl<S> Layer<S> for SanitizeLayer {
    type Service = Sanitize<S>;

    fn layer(&self, inner: S) -> Sanitize<S> {
        Sanitize { inner, upgrades: Arc::clone(&self.upgrades) }
    }
}

/// Takes hop-by-hop headers out of requests and responses; see the [module](super).
#[derive(Clone, Debug)]
pub struct Sanitize<S> {
    inner: S,
    upgrades: Arc<[UpgradeRule]>,
}

impl<S, B, R> Service<Request<B>> for Sanitize<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = ProxyError>,
{
    type Response = Response<R>;
    type Error = ProxyError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let checked = one_authority(&mut request).and_then(|()| {
            let upgrade = self.allows(&request);
            request_headers(request.headers_mut(), upgrade)
        });
        match checked {
            Ok(()) => ResponseFuture { state: State::Inner { future: self.inner.call(request) } },
            Err(error) => ResponseFuture { state: State::Refused { error: Some(error) } },
        }
    }
}

impl<S> Sanitize<S> {
    fn allows<B>(&self, request: &Request<B>) -> Upgrade {
        if self.upgrades.is_empty() {
            return Upgrade::Refuse;
        }
        let asked = request.headers().get(header::UPGRADE).map(HeaderValue::as_bytes);
        let rule = self.upgrades.iter().find(|rule| {
            asked.is_some_and(|asked| asked.eq_ignore_ascii_case(rule.upgrade_type.as_bytes()))
        });
        if rule.is_some_and(|rule| rule.enabled) { Upgrade::Allow } else { Upgrade::Refuse }
    }
}

/// Moves the authority of the target into `Host` and leaves the target in origin form.
fn one_authority<B>(request: &mut Request<B>) -> Result<(), ProxyError> {
    if let Some(authority) = request.uri().authority() {
        if request.method() != Method::CONNECT {
            let host = HeaderValue::from_str(authority.as_str())
                .map_err(|e| ProxyError::new(ErrorKind::BadRequest).with_source(e))?;
            request.headers_mut().insert(header::HOST, host);
            let path = request.uri().path_and_query().cloned();
            *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        }
        return Ok(());
    }
    if !request.headers().contains_key(header::HOST) {
        return Err(ProxyError::new(ErrorKind::BadRequest));
    }
    if !request.uri().path().starts_with('/') && request.method() != Method::OPTIONS {
        return Err(ProxyError::new(ErrorKind::BadRequest));
    }
    Ok(())
}

pin_project! {
    /// The future of [`Sanitize`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Inner { #[pin] future: F },
        Refused { error: Option<ProxyError> },
    }
}

impl<F, R> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, ProxyError>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Inner { future } => {
                let mut response = ready!(future.poll(cx))?;
                let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                response_headers(response.headers_mut(), switching);
                Poll::Ready(Ok(response))
            }
            StateProj::Refused { error } => {
                let error = error.take();
                Poll::Ready(Err(error.unwrap_or_else(|| ProxyError::new(ErrorKind::BadRequest))))
            }
        }
    }
}
