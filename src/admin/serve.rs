//! Serving the admin app on a socket of its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum_server::accept::NoDelayAcceptor;
use front_proxy_layers::stats::Scope;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, SERVER};
use http::{HeaderValue, Method, Response, StatusCode, Version};

use super::traffic::{CODING_OF_GET, CountingAcceptor, HeadAnswers, Traffic};

/// Stops a server: see [`axum_server::Handle`].
pub type AdminHandle = axum_server::Handle<SocketAddr>;

/// A client that does not finish its request's head by then is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves `router` until `handle` says otherwise, and counts what comes in below `stats` (the
/// root), as `http.admin` and `listener.admin`.
///
/// Beside what [`router`](super::router) does, connections are treated as Envoy's admin listener
/// does: HTTP/1.0 is refused, and so is a request that does not say which host it is for.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    handle: AdminHandle,
    stats: &Scope,
) -> io::Result<()> {
    let traffic = Traffic::new(stats);
    let router = router.layer(from_fn(connection_manager)).layer(traffic.layer());
    let acceptor = CountingAcceptor { inner: NoDelayAcceptor::new(), traffic };
    let mut server = axum_server::from_tcp(listener)?.handle(handle);
    server.http_builder().http1().header_read_timeout(HEADER_TIMEOUT);
    server.acceptor(acceptor).serve(router.into_make_service()).await
}

async fn connection_manager(request: Request, next: Next) -> Response<Body> {
    if request.version() < Version::HTTP_11 {
        return refuse(StatusCode::UPGRADE_REQUIRED, "Upgrade Required");
    }
    if request.uri().authority().is_none() && !request.headers().contains_key(HOST) {
        return refuse(StatusCode::BAD_REQUEST, "");
    }
    let heads = request.extensions().get::<HeadAnswers>().cloned();
    let heads = heads.filter(|_| request.method() == Method::HEAD);
    let mut response = next.run(request).await;
    if let Some(heads) = heads {
        let chunked = HeaderValue::from_static("chunked");
        response.headers_mut().insert(CODING_OF_GET, chunked);
        heads.note();
    }
    response
}

/// An answer in the connection manager's own form, which is not that of the pages.
fn refuse(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if !text.is_empty() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now())) {
        headers.insert(DATE, date);
    }
    headers.insert(SERVER, HeaderValue::from_static("envoy"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if text.is_empty() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    }
    response
}
