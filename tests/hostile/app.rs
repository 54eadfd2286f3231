//! The app behind the proxy.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::routing::{get, post};

/// Starts it on a port of its own.
pub(crate) async fn start() -> SocketAddr {
    let app = Router::new()
        .route("/number/{n}", get(async |Path(n): Path<u64>| format!("number {n}")))
        .route("/echo", post(async |body: Bytes| body))
        .route("/big", get(async || Body::from(vec![b'b'; 4 << 20])))
        .route(
            "/slow",
            get(async || {
                tokio::time::sleep(Duration::from_millis(400)).await;
                "slow"
            }),
        );
    // Rapid resets bring hundreds of connections in a burst. With a short queue the kernel resets
    // some of those that it could not queue, and the good requests on them with them.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let listener = socket.listen(4096).expect("a queue");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}
