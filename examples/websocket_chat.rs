//! A chat over WebSocket through the proxy: whoever is connected hears what everybody says.
//!
//! ```text
//! cargo run --example websocket_chat
//! ```
//!
//! Then open <http://localhost:3000/> in two windows. Next: send `/chat` to several instances, and keep
//! each client on one of them with `.hash(...)` and `balance::RingHash`.

use std::error::Error;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Html;
use axum::routing::{any, get};
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::proxy::{Proxy, Route};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let chat = Cluster::builder("chat").endpoints([chat_server().await?])?.build();
    // A conversation may pause: the timeout of the route holds until the switch, not for it.
    let chat = Route::to(chat).upgrade("websocket").prefix_rewrite("/");
    let proxy = Proxy::builder().route("/", chat).build();
    let app = Router::new().route("/", get(|| async { Html(PAGE) })).nest_service("/chat", proxy);

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

const PAGE: &str = r#"<!doctype html><title>chat</title><form><input autofocus></form><pre></pre>
<script>
const socket = new WebSocket(`ws://${location.host}/chat`), [form] = document.forms;
socket.onmessage = event => document.querySelector("pre").textContent += event.data + "\n";
form.onsubmit = event => { event.preventDefault(); socket.send(form[0].value); form.reset(); };
</script>
"#;

/// Stands in for a chat server of yours. Returns its address.
async fn chat_server() -> Result<String, Box<dyn Error>> {
    let (room, _) = broadcast::channel::<String>(100);
    let join = |State(room): State<broadcast::Sender<String>>, upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(move |socket| take_part(socket, room))
    };
    let app = Router::new().route("/", any(join)).with_state(room);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address.to_string())
}

async fn take_part(mut socket: WebSocket, room: broadcast::Sender<String>) {
    let mut heard = room.subscribe();
    if socket.send(Message::text("welcome")).await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            said = socket.recv() => match said {
                Some(Ok(Message::Text(text))) => _ = room.send(text.to_string()),
                Some(Ok(_)) => {}
                None | Some(Err(_)) => return,
            },
            said = heard.recv() => {
                let Ok(said) = said else { return };
                if socket.send(Message::text(said)).await.is_err() {
                    return;
                }
            }
        }
    }
}
