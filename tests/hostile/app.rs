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
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}
