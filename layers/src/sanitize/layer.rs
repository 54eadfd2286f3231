use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::uri::{Authority, Scheme};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{HostRules, PathNormalizer, PathOutcome, Upgrade, request_headers, response_headers};
use crate::error::{ErrorKind, ProxyError};
use crate::stats::DownstreamStats;
use crate::upgrade::Asked;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Takes hop-by-hop headers out of requests and responses; see the [module](super).
#[derive(Clone, Debug, Default)]
pub struct SanitizeLayer {
    rules: Arc<Rules>,
    local_port: Option<u16>,
    tls: bool,
}

/// What is the same for all connections.
#[derive(Clone, Debug, Default)]
struct Rules {
    /// `None` where they change nothing.
    host: Option<HostRules>,
    path: Option<PathNormalizer>,
    stats: Option<Arc<DownstreamStats>>,
    /// Over HTTP/1 a whole URL is no path, and its authority none.
    refuse_absolute_form: bool,
}

impl SanitizeLayer {
    /// The layer. Protocol switches are refused, but for those that an
    /// [`UpgradeLayer`](crate::upgrade::UpgradeLayer) further out lets pass.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is changed of the host.
    #[must_use]
    pub fn host(mut self, rules: HostRules) -> Self {
        Arc::make_mut(&mut self.rules).host = (!rules.is_empty()).then_some(rules);
        self
    }

    /// How paths are normalised.
    #[must_use]
    pub fn path(mut self, normalizer: PathNormalizer) -> Self {
        let changes_something = normalizer != PathNormalizer::default();
        Arc::make_mut(&mut self.rules).path = changes_something.then_some(normalizer);
        self
    }

    /// Counts paths that are refused or redirected there.
    #[must_use]
    pub fn stats(mut self, stats: Arc<DownstreamStats>) -> Self {
        Arc::make_mut(&mut self.rules).stats = Some(stats);
        self
    }

    /// Whether a request line of HTTP/1 may hold a whole URL, as to a forward proxy (Envoy's
    /// `allow_absolute_url`). Default yes; else such a request is answered with 404.
    #[must_use]
    pub fn absolute_form(mut self, allowed: bool) -> Self {
        Arc::make_mut(&mut self.rules).refuse_absolute_form = !allowed;
        self
    }

    /// For one connection: the port that the client is connected to, for [`HostRules`].
    #[must_use]
    pub fn local_port(mut self, port: Option<u16>) -> Self {
        self.local_port = port;
        self
    }

    /// For one connection: whether it is encrypted. A request that names the other scheme keeps it,
    /// in its target: redirects are made of it, and upstreams are told it. Default no.
    #[must_use]
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }
}

impl<S> Layer<S> for SanitizeLayer {
    type Service = Sanitize<S>;

    fn layer(&self, inner: S) -> Sanitize<S> {
        let Self { rules, local_port, tls } = self;
        Sanitize { inner, rules: Arc::clone(rules), local_port: *local_port, tls: *tls }
    }
}

/// Takes hop-by-hop headers out of requests and responses; see the [module](super).
#[derive(Clone, Debug)]
pub struct Sanitize<S> {
    inner: S,
    rules: Arc<Rules>,
    local_port: Option<u16>,
    tls: bool,
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
        let scheme = scheme_to_keep(&request, self.tls);
        let checked = self.rules.authority(&mut request, self.local_port).and_then(|()| {
            self.rules.path(&mut request)?;
            let upgrade = if asked { Upgrade::Allow } else { Upgrade::Refuse };
            request_headers(request.headers_mut(), upgrade)
        });
        match checked {
            Ok(()) => {
                if let Some(scheme) = scheme {
                    keep_scheme(&mut request, scheme);
                }
                ResponseFuture { state: State::Inner { future: self.inner.call(request), asked } }
            }
            Err(error) => ResponseFuture { state: State::Refused { error: Some(error) } },
        }
    }
}

impl Rules {
    /// Gives the request one authority, in `Host`, spelled as the rules say.
    fn authority<B>(
        &self,
        request: &mut Request<B>,
        local_port: Option<u16>,
    ) -> Result<(), ProxyError> {
        if request.method() == Method::CONNECT {
            if let Some(host) = &self.host {
                host.apply_to_connect(request.uri_mut(), local_port);
            }
            return Ok(());
        }
        if !self.refuses_form(request) {
            absolute_form(request)?;
        }
        if let Some(host) = &self.host {
            let version = request.version();
            host.apply(request.headers_mut(), version, local_port);
        }
        if request.headers().contains_key(header::HOST) {
            return Ok(());
        }
        Err(ProxyError::new(ErrorKind::BadRequest).with_details("missing_host_header"))
    }

    fn refuses_form<B>(&self, request: &Request<B>) -> bool {
        self.refuse_absolute_form
            && request.version() < Version::HTTP_2
            && request.method() != Method::CONNECT
            && request.uri().authority().is_some()
    }

    /// Refuses what is no path, and gives a path the spelling that the rules ask for.
    #[inline]
    fn path<B>(&self, request: &mut Request<B>) -> Result<(), ProxyError> {
        let Some(path) = request.uri().path_and_query() else {
            return Ok(());
        };
        if !path.as_str().starts_with('/') || self.refuses_form(request) {
            // `OPTIONS *` asks about the server, which is not ours to answer for.
            return Err(self.count(ErrorKind::NonRelativePath));
        }
        let Some(normalizer) = &self.path else {
            return Ok(());
        };
        match normalizer.normalize(path) {
            PathOutcome::Unchanged => Ok(()),
            PathOutcome::Changed(path) => {
                *request.uri_mut() = Uri::from(path);
                Ok(())
            }
            PathOutcome::Reject => {
                let error = self.count(ErrorKind::BadRequest);
                Err(error.with_details("path_normalization_failed"))
            }
            PathOutcome::Redirect(location) => {
                let mut headers = HeaderMap::with_capacity(4);
                if let Ok(location) = HeaderValue::try_from(location) {
                    headers.insert(header::LOCATION, location);
                }
                Err(self.count(ErrorKind::PathNotNormal).with_headers(headers))
            }
        }
    }

    fn count(&self, kind: ErrorKind) -> ProxyError {
        if let Some(stats) = &self.stats {
            match kind {
                ErrorKind::NonRelativePath => stats.rq_non_relative_path.increment(1),
                ErrorKind::PathNotNormal => stats.rq_redirected_with_normalized_path.increment(1),
                _ => stats.rq_failed_path_normalization.increment(1),
            }
        }
        ProxyError::new(kind)
    }
}

/// Moves the authority of the target into `Host` and leaves the target in origin form.
fn absolute_form<B>(request: &mut Request<B>) -> Result<(), ProxyError> {
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str())
            .map_err(|e| ProxyError::new(ErrorKind::BadRequest).with_source(e))?;
        request.headers_mut().insert(header::HOST, host);
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    }
    Ok(())
}

/// The scheme that a request names, where that is not the one which the layers further in take it
/// to have.
#[inline]
fn scheme_to_keep<B>(request: &Request<B>, tls: bool) -> Option<Scheme> {
    let scheme = request.uri().scheme()?;
    let of_connection = if tls { Scheme::HTTPS } else { Scheme::HTTP };
    let forwarded = request.headers().contains_key(FORWARDED_PROTO);
    let keep = (*scheme != of_connection || forwarded) && request.method() != Method::CONNECT;
    keep.then(|| scheme.clone())
}

/// Puts a scheme into the target, with the host that goes with it.
fn keep_scheme<B>(request: &mut Request<B>, scheme: Scheme) {
    let host = request.headers().get(header::HOST).map(HeaderValue::as_bytes);
    let mut parts = request.uri().clone().into_parts();
    parts.authority = host.and_then(|host| Authority::try_from(host).ok());
    // Envoy writes it small.
    parts.scheme = Scheme::try_from(&*scheme.as_str().to_ascii_lowercase()).ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
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
                let mut polled = future.poll(cx);
                if let Poll::Ready(Ok(response)) = &mut polled {
                    // One that nobody asked for is an answer like any other.
                    let switching = *asked && response.status() == StatusCode::SWITCHING_PROTOCOLS;
                    response_headers(response.headers_mut(), switching);
                }
                polled
            }
            StateProj::Refused { error } => {
                let error = error.take();
                Poll::Ready(Err(error.unwrap_or_else(|| ProxyError::new(ErrorKind::BadRequest))))
            }
        }
    }
}
