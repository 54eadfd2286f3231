//! The demo app: an axum service that says who answers, so that balancing can be seen.
//!
//! ```text
//! $ curl localhost:8080/service/1
//! Hello from behind Envoy (service 1)! hostname: 36418bc3c824 resolvedhostname: 192.168.160.4
//! ```
//!
//! The sandbox runs one for each instance. `front-proxy service` runs it alone, and so does
//! `examples/service.rs`.
//!
//! ```no_run
//! use std::net::SocketAddr;
//!
//! use front_proxy::service::{LocalAddress, router};
//!
//! # async fn example() -> std::io::Result<()> {
//! let app = router(Some("1".to_owned()), "36418bc3c824".to_owned());
//! let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 8080))).await?;
//! axum::serve(listener, app.into_make_service_with_connect_info::<LocalAddress>()).await
//! # }
//! ```

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::IncomingStream;
use tokio::net::TcpListener;

/// What the app says, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where it listens.
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))]
    pub address: SocketAddr,
    /// Which service it says to be [default: what follows /service/ in the path].
    #[arg(long, env = "SERVICE_NAME")]
    pub service: Option<String>,
    /// The hostname that it names [default: 12 random hex digits, like a container's].
    #[arg(long)]
    pub hostname: Option<String>,
}

/// Runs the app until Ctrl-C or SIGTERM; requests under way are finished.
///
/// # Errors
///
/// The address is taken, or is none of this machine's.
pub async fn run(options: Options) -> io::Result<()> {
    let listener = TcpListener::bind(options.address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("can't listen on {}: {error}", options.address))
    })?;
    println!("service: listening on {}", listener.local_addr()?);
    let hostname = options.hostname.unwrap_or_else(random_hostname);
    let app = router(options.service, hostname);
    serve(listener, app, stop_signal()).await
}

/// The app's routes.
///
/// `resolvedhostname` is the address that a client reached it at. Serve the router with
/// [`LocalAddress`] as connect info.
pub fn router(service: Option<String>, hostname: String) -> Router {
    Router::new()
        .route("/service/{number}", get(hello))
        .with_state(Arc::new(Identity { service, hostname }))
}

/// Serves `app` until `stop` is done and the requests under way are too.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, app.into_make_service_with_connect_info::<LocalAddress>())
        .with_graceful_shutdown(stop)
        .await
}

/// Waits for Ctrl-C or SIGTERM. Either is caught from the call on, not from the first poll: whoever
/// sees an open port may ask for the end at once.
pub(crate) fn stop_signal() -> impl Future<Output = ()> + Send + 'static {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let caught = |kind| {
            let signals = signal(kind);
            async move {
                match signals {
                    Ok(mut signals) => _ = signals.recv().await,
                    Err(_) => std::future::pending().await,
                }
            }
        };
        let interrupt = caught(SignalKind::interrupt());
        let terminate = caught(SignalKind::terminate());
        async move {
            tokio::select! {
                () = interrupt => {}
                () = terminate => {}
            }
        }
    }
    #[cfg(not(unix))]
    async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Twelve hex digits, as Docker names a container's host.
pub(crate) fn random_hostname() -> String {
    format!("{:012x}", fastrand::u64(..1 << 48))
}

/// The address that a connection was accepted on.
#[derive(Clone, Copy, Debug)]
pub struct LocalAddress(pub IpAddr);

impl Connected<IncomingStream<'_, TcpListener>> for LocalAddress {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        // It fails for a connection that is gone already: nobody will read the answer.
        let address = stream.io().local_addr();
        Self(address.map_or(Ipv4Addr::UNSPECIFIED.into(), |address| address.ip()))
    }
}

#[derive(Debug)]
struct Identity {
    service: Option<String>,
    hostname: String,
}

async fn hello(
    State(identity): State<Arc<Identity>>,
    ConnectInfo(LocalAddress(address)): ConnectInfo<LocalAddress>,
    Path(number): Path<String>,
) -> impl IntoResponse {
    let service = identity.service.as_ref().unwrap_or(&number);
    let text = format!(
        "Hello from behind Envoy (service {})! hostname: {} resolvedhostname: {address}\n",
        escaped(service),
        escaped(&identity.hostname),
    );
    // HTML, as Flask says for plain strings; so what comes from the path has to be escaped.
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], text)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '"' | '\'' => {
                // Writing to a string can't fail.
                _ = write!(out, "&#{};", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(app: Router, request_line: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(serve(listener, app, std::future::pending()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{request_line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        task.abort();
        response
    }

    #[tokio::test]
    async fn it_says_who_answers() {
        let app = router(None, "36418bc3c824".to_owned());
        let response = ask(app, "GET /service/1").await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.contains("\r\ncontent-type: text/html; charset=utf-8\r\n"));
        assert!(response.ends_with(
            "\r\n\r\nHello from behind Envoy (service 1)! hostname: 36418bc3c824 \
             resolvedhostname: 127.0.0.1\n"
        ));
    }

    #[tokio::test]
    async fn a_name_of_its_own_goes_before_the_path_and_no_markup_gets_through() {
        let app = |service: Option<&str>| router(service.map(str::to_owned), random_hostname());
        let response = ask(app(Some("1")), "GET /service/1abc").await;
        assert!(response.contains("(service 1)!"), "{response}");
        let response = ask(app(None), "GET /service/%3Cscript%3E").await;
        assert!(response.contains("(service &#60;script&#62;)!"), "{response}");
        let response = ask(app(None), "GET /other").await;
        assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
    }

    #[test]
    fn hostnames_are_like_those_of_containers() {
        let (one, other) = (random_hostname(), random_hostname());
        assert_ne!(one, other);
        assert_eq!(one.len(), 12);
        assert!(one.bytes().all(|b| b.is_ascii_hexdigit()));
    }
}
