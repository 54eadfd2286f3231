//! Serving the admin app on a socket of its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, Request};
use axum::middleware::{Next, from_fn};
use axum_server::accept::NoDelayAcceptor;
use front_proxy_layers::sanitize::{EscapedSlashes, PathNormalizer, PathOutcome};
use front_proxy_layers::stats::Scope;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, Version};

use super::page::date_and_server;
use super::traffic::{CODING_OF_GET, CountingAcceptor, HeadAnswers, Traffic};
use crate::connection::http1::is_known_method;

/// Stops a server: see [`axum_server::Handle`].
pub type AdminHandle = axum_server::Handle<SocketAddr>;

/// A client that does not finish its request's head by then is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves `router` until `handle` says otherwise, and counts what comes in below `stats` (the
/// root), as `http.admin` and `listener.admin`.
///
/// Beside what [`router`](super::router) does, connections are treated as Envoy's admin listener
/// does: HTTP/1.0 is refused, and so is a request that does not say which host it is for, has a method
/// that nobody knows, or asks for something else than a path. Paths are normalised.
///
/// # Errors
///
/// The socket can't be made one of the current tokio runtime, or accepts no more.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    handle: AdminHandle,
    stats: &Scope,
) -> io::Result<()> {
    let traffic = Traffic::new(stats);
    // Around all of the router: it finds pages by paths that are normalised by then.
    let app = Router::new().fallback_service(router);
    let app = app.layer(from_fn(connection_manager)).layer(traffic.layer());
    let acceptor = CountingAcceptor { inner: NoDelayAcceptor::new(), traffic };
    let mut server = axum_server::from_tcp(listener)?.handle(handle);
    server.http_builder().http1().header_read_timeout(HEADER_TIMEOUT);
    server.acceptor(acceptor).serve(app.into_make_service()).await
}

/// As Envoy sets the admin's own connection manager.
const PATHS: PathNormalizer = PathNormalizer {
    normalize: true,
    merge_slashes: true,
    escaped_slashes: EscapedSlashes::KeepUnchanged,
};

async fn connection_manager(mut request: Request, next: Next) -> Response<Body> {
    if let Some(refusal) = refusal(&request) {
        return refusal;
    }
    match request.uri().path_and_query().map(|path| PATHS.normalize(path)) {
        Some(PathOutcome::Changed(path)) => {
            let mut parts = std::mem::take(request.uri_mut()).into_parts();
            parts.path_and_query = Some(path);
            // Only the path is another one, and it is a path.
            *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
            // The router below takes down another one.
            request.extensions_mut().remove::<OriginalUri>();
        }
        Some(PathOutcome::Reject) => return reply(StatusCode::BAD_REQUEST, "", Then::Close),
        Some(PathOutcome::Unchanged | PathOutcome::Redirect(_)) | None => {}
    }
    let heads = request.extensions().get::<HeadAnswers>().cloned();
    let heads = heads.filter(|_| request.method() == Method::HEAD);
    let closes = heads.is_some() && asks_to_close(request.headers());
    let mut response = next.run(request).await;
    if let Some(heads) = heads {
        if closes {
            // The HTTP library would say it behind the coding.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let chunked = HeaderValue::from_static("chunked");
        response.headers_mut().insert(CODING_OF_GET, chunked);
        heads.note();
    }
    response
}

fn asks_to_close(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|token| token.trim().eq_ignore_ascii_case("close"))
}

/// The answer to what is no request for a page.
fn refusal(request: &Request) -> Option<Response<Body>> {
    let (uri, method) = (request.uri(), request.method());
    if request.version() < Version::HTTP_11 {
        return Some(reply(StatusCode::UPGRADE_REQUIRED, "Upgrade Required", Then::Close));
    }
    if request.version() == Version::HTTP_11 {
        let is_path = uri.path().starts_with('/') || uri.path() == "*";
        let is_known = is_known_method(method.as_str().as_bytes());
        if !is_known || method == Method::CONNECT || !is_path && uri.scheme().is_none() {
            return Some(reply(StatusCode::BAD_REQUEST, "Bad Request", Then::Close));
        }
        if !request.headers().contains_key(HOST) && uri.authority().is_none() {
            return Some(reply(StatusCode::BAD_REQUEST, "", Then::Close));
        }
        // The forms for proxies and for the server as a whole.
        if uri.scheme().is_some() || uri.path() == "*" {
            return Some(reply(StatusCode::NOT_FOUND, "", Then::GoOn));
        }
    } else if uri.authority().is_none() && !request.headers().contains_key(HOST) {
        return Some(reply(StatusCode::BAD_REQUEST, "", Then::Close));
    }
    None
}

/// What becomes of the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    Close,
}

/// An answer in the connection manager's own form, which is not that of the pages.
fn reply(status: StatusCode, text: &'static str, then: Then) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if !text.is_empty() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    date_and_server(headers);
    if then == Then::Close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if text.is_empty() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    }
    response
}
