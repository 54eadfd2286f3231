use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{Upgrade, request_headers, response_headers};
use crate::error::{ErrorKind, ProxyError};
use crate::upgrade::Asked;

/// Takes hop-by-hop headers out of requests and responses; see the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct SanitizeLayer(());

impl SanitizeLayer {
    /// The layer. Protocol switches are refused, but for those that an
    /// [`UpgradeLayer`](crate::upgrade::UpgradeLayer) further out lets pass.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for SanitizeLayer {
    type Service = Sanitize<S>;

    fn layer(&self, inner: S) -> Sanitize<S> {
        Sanitize { inner }
    }
}

/// Takes hop-by-hop headers out of requests and responses; see the [module](super).
#[derive(Clone, Debug)]
pub struct Sanitize<S> {
    inner: S,
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
        let asked = request.extensions().get::<Asked>().is_some();
        let checked = one_authority(&mut request).and_then(|()| {
            let upgrade = if asked { Upgrade::Allow } else { Upgrade::Refuse };
            request_headers(request.headers_mut(), upgrade)
        });
        match checked {
            Ok(()) => {
                ResponseFuture { state: State::Inner { future: self.inner.call(request), asked } }
            }
            Err(error) => ResponseFuture { state: State::Refused { error: Some(error) } },
        }
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
        Inner { #[pin] future: F, asked: bool },
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
            StateProj::Inner { future, asked } => {
                let mut response = ready!(future.poll(cx))?;
                // One that nobody asked for is an answer like any other.
                let switching = *asked && response.status() == StatusCode::SWITCHING_PROTOCOLS;
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
