//! HTTP/1 by hand: an upstream that does what a test says, byte by byte, and a client.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An upstream, and what has come to it.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    heads: Mutex<Vec<String>>,
}

impl Upstream {
    /// Does this with each connection.
    pub(crate) async fn serve<F, R>(behave: F) -> Self
    where
        F: Fn(Connection) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::serve_at("127.0.0.1:0", behave).await
    }

    pub(crate) async fn serve_at<F, R>(address: &str, behave: F) -> Self
    where
        F: Fn(Connection) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Seen::default());
        let upstream = Self { address, seen: Arc::clone(&seen) };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                seen.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(behave(Connection { stream, seen: Arc::clone(&seen) }));
            }
        });
        upstream
    }

    /// Its address in text.
    pub(crate) fn name(&self) -> String {
        self.address.to_string()
    }

    /// How many there were.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// The heads of all requests.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().expect("no panic").clone()
    }
}

/// A connection, either end of it.
pub(crate) struct Connection {
    stream: TcpStream,
    seen: Arc<Seen>,
}

impl Connection {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connected");
        Self { stream, seen: Arc::default() }
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("written");
    }

    /// Reads up to `end` and with it; less only where the connection ends before.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            match self.stream.read_u8().await {
                Ok(byte) => read.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&read).into_owned()
    }

    /// The head of the next request; `None` at the end of the connection.
    pub(crate) async fn next_head(&mut self) -> Option<String> {
        let head = self.until("\r\n\r\n").await;
        if !head.ends_with("\r\n\r\n") {
            return None;
        }
        self.seen.heads.lock().expect("no panic").push(head.clone());
        Some(head)
    }

    /// The head of the next request, if there is one.
    pub(crate) async fn head(&mut self) -> String {
        self.next_head().await.unwrap_or_default()
    }
}
