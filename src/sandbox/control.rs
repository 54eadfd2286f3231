//! Scaling a running sandbox from outside: `POST /scale` with `service1=3` for a body.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::services::Services;
use super::{BoxError, Error, Scale, StartProxy, guide};

/// Starting instances takes milliseconds; waiting for an earlier command may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tells the sandbox whose control port is `address` how many instances a service shall have.
/// Returns its answer, for people to read.
///
/// # Errors
/// [`Error::Control`] if there is no sandbox, [`Error::Scale`] if it refuses.
pub async fn scale(address: SocketAddr, service: &str, instances: usize) -> Result<String, Error> {
    let failed = |source| Error::Control { address, source };
    let body = format!("{service}={instances}");
    let (status, text) = tokio::time::timeout(PATIENCE, send(address, body))
        .await
        .map_err(|_| failed("it takes too long".into()))?
        .map_err(failed)?;
    if status.is_success() { Ok(text) } else { Err(Error::Scale(text.trim_end().to_owned())) }
}

async fn send(address: SocketAddr, body: String) -> Result<(StatusCode, String), BoxError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request =
        http::Request::post("/scale")
            .header(HOST, address.to_string())
            .body(Full::<Bytes>::from(body))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, 1 << 20).collect().await?.to_bytes();
    connection.abort();
    Ok((head.status, String::from_utf8_lossy(&body).into_owned()))
}

/// The control endpoint before it is served: whoever connects waits.
#[derive(Debug)]
pub(super) struct Listener {
    address: SocketAddr,
    listener: TcpListener,
}

impl Listener {
    pub(super) async fn bind(port: u16) -> Result<Self, Error> {
        // Never on an outside address: whoever reaches it may start things here.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let failed = |e| Error::bind("the control port", address, "--control-port", e);
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        Ok(Self { address: listener.local_addr().map_err(failed)?, listener })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn serve<P: StartProxy>(self, services: Arc<Services<P>>) -> Server {
        let app = Router::new()
            .route("/scale", post(scale_here::<P>))
            .with_state(services)
            .layer(DefaultBodyLimit::max(256))
            .layer(middleware::from_fn(not_from_a_web_page));
        let (stop, stopped) = oneshot::channel();
        let listener = self.listener;
        let task = tokio::spawn(async move {
            let stopped = async move {
                _ = stopped.await; // an error means dropped: the same
            };
            let serve = axum::serve(listener, app).with_graceful_shutdown(stopped);
            if let Err(error) = serve.await {
                tracing::error!(%error, "the control endpoint ended");
            }
        });
        Server { address: self.address, stop, task }
    }
}

/// The control endpoint at work; dropping it ends it.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more commands, and waits for the one under way.
    pub(super) async fn stop(self) {
        _ = self.stop.send(());
        _ = self.task.await;
    }
}

async fn scale_here<P: StartProxy>(
    State(services): State<Arc<Services<P>>>,
    command: String,
) -> Response {
    let outcome = match command.trim().parse::<Scale>() {
        // A client that hangs up must not leave half of its command done.
        Ok(scale) => tokio::spawn(async move { services.scale(&scale).await }).await,
        Err(message) => return (StatusCode::BAD_REQUEST, message + "\n").into_response(),
    };
    match outcome {
        Ok(Ok(instances)) => guide::instances(&instances).into_response(),
        Ok(Err(error)) => {
            let status = match error {
                Error::Scale(_) => StatusCode::BAD_REQUEST,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, format!("{error}\n")).into_response()
        }
        Err(panicked) => {
            let message = format!("{panicked}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
        }
    }
}

/// Refuses what a web page in a browser on this machine could send: requests with an `Origin`, and
/// those to a host name, which a page's own name server may have pointed here (DNS rebinding).
async fn not_from_a_web_page(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if headers.contains_key(ORIGIN) || !host.is_some_and(is_local) {
        let message = "only local programs may control the sandbox\n";
        return (StatusCode::FORBIDDEN, message).into_response();
    }
    next.run(request).await
}

fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let ip = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_loopback_addresses_and_localhost_are_local() {
        for host in ["localhost", "LOCALHOST:8002", "127.0.0.1:1", "[::1]:8002", "127.9.9.9"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["evil.example:8002", "10.0.0.1", "localhost.evil.example", "", "a b", "[::2]"]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}
