//! WebSocket through a proxy that an axum app mounts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::discover::{Member, MemberSet};
use front_proxy_layers::respond::RespondLayer;
use front_proxy_layers::route::{PathMatch, RouteMatch, RouteTable};
use front_proxy_layers::router::{self, RouteEntry};
use front_proxy_layers::sanitize::SanitizeLayer;
use front_proxy_layers::timeout::TimeoutLayer;
use front_proxy_layers::upgrade::UpgradeLayer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, ServiceBuilder};

/// Switches to whatever it is asked for, greets in the same segment, and sends back what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                head(&mut stream).await;
                let switched = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                                upgrade: websocket\r\n\r\nhello";
                let _ = stream.write_all(switched.as_bytes()).await;
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

async fn app(upgrades: UpgradeLayer) -> SocketAddr {
    let cluster = Cluster::builder("chat").build();
    cluster.update(vec![Member::new(echo().await)]);
    let timeouts = TimeoutLayer::new(Duration::from_secs(15)).idle(Some(Duration::from_secs(300)));
    let everything = RouteMatch::new(PathMatch::Prefix("/".into()));
    let table = RouteTable::builder()
        .virtual_host("all", ["*"], [(everything, RouteEntry::forward(timeouts.layer(cluster)))])
        .build()
        .unwrap();
    let proxy = ServiceBuilder::new()
        .layer(upgrades)
        .layer(RespondLayer::new())
        .layer(SanitizeLayer::new())
        .service(router::Router::new(Arc::new(table)));
    let app = Router::new().route("/", get(|| async { "app" })).route_service("/chat", proxy);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

const HANDSHAKE: &[u8] = b"GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\n\
upgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[tokio::test]
async fn websocket_goes_through() {
    let address = app(UpgradeLayer::new().allow("websocket")).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(HANDSHAKE).await.unwrap();
    let head = head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("upgrade: websocket\r\n"), "{head}");
    client.write_all(b" world").await.unwrap();
    let mut text = [0; 11];
    client.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"hello world");
    client.shutdown().await.unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "the client's end is the tunnel's");
}

#[tokio::test]
async fn other_protocols_do_not() {
    let address = app(UpgradeLayer::new().allow("spdy")).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(HANDSHAKE).await.unwrap();
    let head = head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
}
