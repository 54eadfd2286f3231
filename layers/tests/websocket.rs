//! WebSocket with axum's on the far side, a proxy in each of the ways to mount it, and a client.

mod support;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Request};
use axum::routing::any;
use front_proxy_layers::proxy::{Proxy, Route};
use futures_util::{SinkExt, StreamExt};
use support::{cluster_of, get, listen};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Message as Sent, client::IntoClientRequest};

/// Says everything again, with its room, until it hears "bye".
async fn echo(room: String, mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let again = match message {
            Message::Text(text) if text == "bye" => break,
            Message::Text(text) => Message::Text(format!("{room}: {text}").into()),
            Message::Binary(bytes) => Message::Binary(bytes),
            _ => continue,
        };
        if socket.send(again).await.is_err() {
            break;
        }
    }
}

async fn rooms() -> Router {
    let join = async |Path(room): Path<String>, upgrade: WebSocketUpgrade| {
        upgrade.protocols(["chat"]).on_upgrade(move |socket| echo(room, socket))
    };
    Router::new()
        .route("/rooms/{room}", any(join))
        .fallback(async |request: Request| format!("no room at {}", request.uri()))
}

async fn talk(address: SocketAddr, path: &str) {
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "chat".parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, response) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    socket.send(Sent::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Sent::text("1: hello"));
    // More than any buffer on the way.
    let large = vec![7; 1 << 20];
    socket.send(Sent::binary(large.clone())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Sent::binary(large));
    socket.send(Sent::Ping("p".into())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Sent::Pong("p".into()));
    socket.send(Sent::text("bye")).await.unwrap();
    // The far end hangs up, and so does the proxy.
    while let Some(Ok(_)) = socket.next().await {}
}

#[tokio::test]
async fn through_each_way_to_mount() {
    let cluster = cluster_of("rooms", rooms().await).await;
    let proxy = Proxy::builder().upgrade("websocket");
    let all = proxy.route("/chat/", Route::to(cluster.clone()).prefix_rewrite("/"));
    let all = all.route("/", cluster.clone()).build();
    let app = Router::new()
        .nest_service("/nested", all.clone())
        .route_service("/rooms/{room}", all.clone())
        .fallback_service(all);
    let app = listen(app).await;
    for path in ["/nested/rooms/1", "/rooms/1", "/chat/rooms/1"] {
        talk(app, path).await;
    }
    assert_eq!(get(app, "/nested/x").await, "200 no room at /x");
    while cluster.endpoints()[0].stats().rq_active.load(std::sync::atomic::Ordering::Relaxed) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn on_the_one_route_that_allows_it() {
    let cluster = cluster_of("rooms", rooms().await).await;
    let proxy = Proxy::builder()
        .route("/rooms/", Route::to(cluster.clone()).upgrade("websocket"))
        .route("/chat/", Route::to(cluster).prefix_rewrite("/"));
    let app = listen(Router::new().fallback_service(proxy.build())).await;
    talk(app, "/rooms/1").await;
    let stream = TcpStream::connect(app).await.unwrap();
    let refused = tokio_tungstenite::client_async(format!("ws://{app}/chat/rooms/1"), stream).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("403"), "{error}");
}
