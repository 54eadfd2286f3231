//! WebSocket and `CONNECT` through a proxy that an axum app mounts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::discover::{Member, MemberSet};
use front_proxy_layers::proxy::{Proxy, Route};
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

/// Speaks no HTTP: says where it is, and sends back what it gets.
async fn tcp_echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(b"hello").await;
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

/// What a `CONNECT` to this route brings: its status, and what comes through the tunnel.
async fn tunnel(route: Route) -> (String, String) {
    let proxy = Proxy::builder().route(RouteMatch::new(PathMatch::Connect), route).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback_service(proxy)).await });
    client.write_all(b"CONNECT db:5432 HTTP/1.1\r\nhost: db:5432\r\n\r\n").await.unwrap();
    let head = head(&mut client).await;
    let mut through = [0; 11];
    if head.starts_with("HTTP/1.1 200") {
        client.write_all(b" world").await.unwrap();
        client.read_exact(&mut through).await.unwrap();
    }
    (head[..12].to_owned(), String::from_utf8_lossy(&through).into_owned())
}

#[tokio::test]
async fn connect_opens_a_tunnel_or_goes_on() {
    let cluster = |address: SocketAddr| {
        let builder = Cluster::builder("db").endpoints([address]);
        Route::to(builder.expect("an address").build())
    };
    let opened = tunnel(cluster(tcp_echo().await).connect_tcp()).await;
    assert_eq!(opened, ("HTTP/1.1 200".to_owned(), "hello world".to_owned()));

    // The upstream makes the tunnel, and sees the request.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let asked = head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").await.unwrap();
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
        asked
    });
    let passed = tunnel(cluster(address).upgrade("CONNECT")).await;
    assert_eq!(passed, ("HTTP/1.1 200".to_owned(), "hello world".to_owned()));
    assert!(upstream.await.unwrap().starts_with("CONNECT db:5432 HTTP/1.1\r\n"));

    // Unasked for it is neither.
    assert_eq!(tunnel(cluster(tcp_echo().await)).await.0, "HTTP/1.1 403");
}
