//! Apps on loopback, and a client that says what it was answered.
#![allow(dead_code)] // each test uses its part

use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use front_proxy_layers::cluster::Cluster;
use http::response::Parts;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};

/// A cluster with one endpoint, which says its name and what it was asked.
pub(crate) async fn cluster(name: &'static str) -> Cluster {
    let app = Router::new().fallback(move |request: Request| async move {
        format!("{name} {} {}", request.method(), request.uri())
    });
    cluster_of(name, app).await
}

/// A cluster with one endpoint.
pub(crate) async fn cluster_of(name: &'static str, app: Router) -> Cluster {
    Cluster::builder(name).endpoints([listen(app).await]).expect("an address").build()
}

pub(crate) async fn listen(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Status and body of the answer to a GET.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    get_with(address, path, &[]).await.1
}

/// The head of the answer to a GET with these headers, and its status and body as text.
pub(crate) async fn get_with(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> (Parts, String) {
    let mut request = http::Request::get(path).header("host", "h");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, body) = send(address, request.body(Full::default()).expect("a request")).await;
    let text = format!("{} {}", head.status.as_u16(), String::from_utf8_lossy(&body));
    (head, text)
}

pub(crate) async fn send(
    address: SocketAddr,
    request: http::Request<Full<Bytes>>,
) -> (Parts, Bytes) {
    let (head, body) = begin(address, request).await.into_parts();
    (head, body.collect().await.expect("a body").to_bytes())
}

pub(crate) async fn begin(
    address: SocketAddr,
    request: http::Request<Full<Bytes>>,
) -> http::Response<Incoming> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.expect("a handshake");
    tokio::spawn(connection);
    sender.send_request(request).await.expect("a response")
}
