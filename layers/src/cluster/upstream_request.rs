//! A request in the form that its upstream's HTTP version has.

use http::uri::Scheme;
use http::{HeaderValue, Method, Request, Uri, Version, header};
use http_body::Body as _;

use crate::body::Body;
use crate::error::{ErrorKind, ProxyError};
use crate::route::{is_bodiless, view};

/// HTTP/1.1 in origin form, with the authority in `Host`.
pub(super) fn for_http1(request: &mut Request<Body>) {
    *request.version_mut() = Version::HTTP_11;
    if request.body().is_end_stream()
        && !is_bodiless(request.method())
        && !request.headers().contains_key(header::CONTENT_LENGTH)
    {
        // RFC 9110 section 8.6: methods that anticipate content say so when there is none.
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD)
        && !request.body().is_end_stream()
        && request.body().size_hint().exact().is_none()
        && !request.headers().contains_key(header::CONTENT_LENGTH)
    {
        // hyper takes it that these have no body, if nothing says that they have.
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(header::TRANSFER_ENCODING, chunked);
    }
    if request.uri().authority().is_none() {
        return;
    }
    if !request.headers().contains_key(header::HOST)
        && let Some(authority) = request.uri().authority()
        && let Ok(host) = authority.as_str().parse()
    {
        request.headers_mut().insert(header::HOST, host);
    }
    if request.method() != Method::CONNECT {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    }
}

/// The whole URL for the request line (`send_fully_qualified_url`), for proxies further on.
pub(super) fn whole_url(request: &Request<Body>) -> Option<Uri> {
    if request.method() == Method::CONNECT {
        return None;
    }
    let scheme = view::scheme_of(request.uri(), request.headers());
    let authority = view::authority_of(request.uri(), request.headers());
    let path = request.uri().path_and_query()?.clone();
    Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build().ok()
}

/// HTTP/2 with scheme and authority in the URI, and no `Host` beside them.
pub(super) fn for_http2(request: &mut Request<Body>, tls: bool) -> Result<(), ProxyError> {
    *request.version_mut() = Version::HTTP_2;
    let bad = |e: http::Error| ProxyError::new(ErrorKind::BadRequest).with_source(e);
    let host = request.headers_mut().remove(header::HOST);
    // The target of a CONNECT is its authority (RFC 9113 section 8.5).
    let host =
        host.filter(|_| request.method() != Method::CONNECT || request.uri().authority().is_none());
    let scheme = upstream_scheme(request, tls);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    if let Some(host) = host {
        let shared = bytes::Bytes::from_owner(host.clone());
        parts.authority = http::uri::Authority::from_maybe_shared(shared).ok();
        if parts.authority.is_none() {
            return keep_host(request, host, parts.path_and_query);
        }
    }
    if parts.authority.is_some() {
        parts.scheme = Some(scheme);
        if parts.path_and_query.is_none() {
            parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
        }
    }
    *request.uri_mut() = Uri::from_parts(parts).map_err(|e| bad(e.into()))?;
    Ok(())
}

/// What can't be an authority to the HTTP library goes on as `host`, which HTTP/2 allows (RFC 9113
/// section 8.3.1): whether it is a host is for the upstream to say.
#[cold]
fn keep_host(
    request: &mut Request<Body>,
    host: HeaderValue,
    path: Option<http::uri::PathAndQuery>,
) -> Result<(), ProxyError> {
    // Only of requests that come from HTTP/1 does h2 expect no authority.
    *request.version_mut() = Version::HTTP_11;
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    request.headers_mut().insert(header::HOST, host);
    Ok(())
}

/// The scheme that the client used, as in Envoy, whatever the connection to the upstream is; that
/// connection's where nothing is known of the client's.
fn upstream_scheme(request: &Request<Body>, tls: bool) -> Scheme {
    let known = |scheme: &str| match scheme {
        "http" => Some(Scheme::HTTP),
        "https" => Some(Scheme::HTTPS),
        _ => None,
    };
    let forwarded = || view::forwarded_proto(request.headers()).and_then(known);
    let of_connection = || if tls { Scheme::HTTPS } else { Scheme::HTTP };
    let own = request.uri().scheme_str().and_then(known);
    own.or_else(forwarded).unwrap_or_else(of_connection)
}

/// RFC 9110 section 9.2.2: a repeated idempotent request does no harm; one with a body is gone.
pub(super) fn is_repeatable(request: &Request<Body>) -> bool {
    request.method().is_idempotent() && request.body().is_end_stream()
}

pub(super) fn copy_head(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.body_mut() = request.body().rest();
    copy
}
