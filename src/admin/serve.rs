//! Serving the admin app on a socket of its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum_server::accept::NoDelayAcceptor;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, SERVER};
use http::{HeaderValue, Response, StatusCode, Version};

/// Stops a server: see [`axum_server::Handle`].
pub type AdminHandle = axum_server::Handle<SocketAddr>;

/// A client that does not finish its request's head by then is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves `router` until `handle` says otherwise.
///
/// Beside what [`router`](super::router) does, connections are treated as Envoy's admin listener
/// does: HTTP/1.0 is refused, and so is a request that does not say which host it is for.
pub async fn serve(listener: TcpListener, router: Router, handle: AdminHandle) -> io::Result<()> {
    let mut server = axum_server::from_tcp(listener)?.handle(handle);
    server
        .http_builder()
        .http1()
        .header_read_timeout(HEADER_TIMEOUT);
    let router = router.layer(from_fn(check));
    server
        .acceptor(NoDelayAcceptor::new())
        .serve(router.into_make_service())
        .await
}

async fn check(request: Request, next: Next) -> Response<Body> {
    if request.version() < Version::HTTP_11 {
        return refuse(StatusCode::UPGRADE_REQUIRED, "Upgrade Required");
    }
    if request.uri().authority().is_none() && !request.headers().contains_key(HOST) {
        return refuse(StatusCode::BAD_REQUEST, "");
    }
    next.run(request).await
}

fn refuse(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    if !text.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    headers.insert(SERVER, HeaderValue::from_static("envoy"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
