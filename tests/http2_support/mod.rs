//! A proxy in this process, and HTTP/2 peers around it.
#![allow(dead_code, clippy::mod_module_files, reason = "shared by test binaries")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use front_proxy::config;
use front_proxy::server::{Server, ServerOptions};
use front_proxy::stats::{Query, StatValue};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// A proxy with one listener and the cluster `app`.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) server: Server,
}

impl Proxy {
    /// `manager` goes into the connection manager, `cluster` into the cluster.
    pub(crate) async fn start(upstream: SocketAddr, manager: &str, cluster: &str) -> Self {
        let text = format!(
            r#"
static_resources:
  listeners:
  - name: front
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          delayed_close_timeout: 0.05s
          {manager}
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
              - match: {{prefix: /direct}}
                direct_response: {{status: 200, body: {{inline_string: direct}}}}
              - match: {{prefix: /redirect}}
                redirect: {{path_redirect: /there}}
              - match: {{prefix: /}}
                route: {{cluster: app}}
          http_filters:
          - name: router
            typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: app
    {cluster}
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}
"#,
            upstream.port()
        );
        let bootstrap = config::load_str("test.yaml", &text).expect("a good configuration");
        let server = Server::start(bootstrap, ServerOptions::default()).await.expect("it starts");
        let (_, address) = server.listeners().next().expect("a listener");
        Self { address, server }
    }

    /// The value of a counter or gauge, if there is one of the name.
    pub(crate) fn find_stat(&self, name: &str) -> Option<u64> {
        let selection = self.server.stats().select(&Query::default());
        match selection.value(name)? {
            StatValue::Counter(value) | StatValue::Gauge(value) => Some(value),
            other => panic!("{name} is {other:?}"),
        }
    }

    /// The value of a counter or gauge, which has to be there.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        self.find_stat(name).unwrap_or_else(|| panic!("there is no stat {name}"))
    }

    /// Waits until a stat has a value.
    pub(crate) async fn until(&self, name: &str, value: u64) {
        for _ in 0..2000 {
            if self.find_stat(name) == Some(value) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{name} is {}, not {value}", self.stat(name));
    }
}

/// A client that speaks frames.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A frame that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The last four bytes: the code of an RST_STREAM or a GOAWAY without debug data.
    pub(crate) fn code(&self) -> u32 {
        let [.., a, b, c, d] = self.payload[..] else { panic!("no code: {self:?}") };
        u32::from_be_bytes([a, b, c, d])
    }
}

impl Wire {
    /// Connects, and has its settings agreed.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let mut wire = Self::raw(address).await;
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        wire.frame(SETTINGS, 0, 0, b"").await;
        loop {
            let frame = wire.next().await.expect("settings");
            if frame.kind == SETTINGS && frame.flags == 0 {
                wire.frame(SETTINGS, 1, 0, b"").await;
                return wire;
            }
        }
    }

    /// Connects and says nothing.
    pub(crate) async fn raw(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connects");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        // The proxy may have closed already: what it answered is what counts.
        let _ = self.stream.write_all(bytes).await;
    }

    pub(crate) async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send(&frame(kind, flags, stream, payload)).await;
    }

    /// A request; `ends` with its head.
    pub(crate) async fn request(&mut self, stream: u32, headers: &[(&str, &str)], ends: bool) {
        self.frame(HEADERS, 4 | u8::from(ends), stream, &block(headers)).await;
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let [a, b, c, kind, flags, d, e, f, g, rest @ ..] = &self.buffer[..] {
                let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
                if let Some(payload) = rest.get(..len) {
                    let stream = u32::from_be_bytes([*d, *e, *f, *g]);
                    let frame =
                        Frame { kind: *kind, flags: *flags, stream, payload: payload.to_vec() };
                    self.buffer.drain(..9 + len);
                    return Some(frame);
                }
            }
            let read = self.stream.read_buf(&mut self.buffer);
            let read = tokio::time::timeout(Duration::from_secs(20), read).await;
            match read.expect("an answer in time") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// All frames to the end of the connection but those that every connection has.
    pub(crate) async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            if !matches!(frame.kind, SETTINGS | WINDOW_UPDATE) {
                frames.push(frame);
            }
        }
        frames
    }

    /// The next frame of a kind.
    pub(crate) async fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("a frame before the end");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Whether the connection still works.
    pub(crate) async fn is_alive(&mut self) -> bool {
        self.frame(PING, 0, 0, b"12345678").await;
        loop {
            match self.next().await {
                Some(frame) if frame.kind == PING => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let mut out = vec![len[1], len[2], len[3], kind, flags];
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// Literal fields without indexing (RFC 7541 section 6.2.2).
pub(crate) fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in headers {
        out.push(0);
        for text in [name, value] {
            match u8::try_from(text.len()) {
                Ok(len) if len < 127 => out.push(len),
                _ => {
                    out.push(127);
                    let mut rest = text.len() - 127;
                    while rest >= 128 {
                        out.push(u8::try_from(rest % 128).expect("a byte") | 128);
                        rest /= 128;
                    }
                    out.push(u8::try_from(rest).expect("a byte"));
                }
            }
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

/// An HTTP/1 app that answers each request with `200` and the request's head as its body.
pub(crate) async fn echo_http1() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = Vec::new();
                while stream.read_buf(&mut read).await.is_ok_and(|n| n > 0) {
                    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else {
                        continue;
                    };
                    let head = String::from_utf8_lossy(&read[..end]).into_owned();
                    read.clear();
                    let reply =
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len());
                    if stream.write_all(reply.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// An HTTP/2 app: `serve` gets each request with the number of its connection.
pub(crate) async fn app_http2<F, Fut>(builder: h2::server::Builder, serve: F) -> SocketAddr
where
    F: Fn(usize, Request<RecvStream>, SendResponse<Bytes>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serve = Arc::new(serve);
    tokio::spawn(async move {
        let mut number = 0;
        while let Ok((stream, _)) = listener.accept().await {
            let (builder, serve) = (builder.clone(), Arc::clone(&serve));
            tokio::spawn(async move {
                let Ok(mut connection) = builder.handshake(stream).await else { return };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let leaves = request.uri().path() == "/leave";
                    tokio::spawn(serve(number, request, respond));
                    if leaves {
                        connection.graceful_shutdown();
                    }
                }
            });
            number += 1;
        }
    });
    address
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

/// A client of the `h2` crate.
#[derive(Clone)]
pub(crate) struct Client(h2::client::SendRequest<Bytes>);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connects");
        let (send, connection) = h2::client::handshake(stream).await.expect("a handshake");
        tokio::spawn(connection);
        Self(send)
    }

    /// Sends a head; the body is the caller's, unless it `ends`.
    pub(crate) async fn open(
        &self,
        request: Request<()>,
        ends: bool,
    ) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        let mut send = self.0.clone().ready().await.expect("a connection");
        send.send_request(request, ends).expect("a good request")
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Reply, h2::Error> {
        let request = Request::get(format!("http://a.example{path}")).body(()).expect("a request");
        let (response, _) = self.open(request, true).await;
        collect(response.await?).await
    }
}

pub(crate) async fn collect(response: Response<RecvStream>) -> Result<Reply, h2::Error> {
    let (parts, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    let trailers = stream.trailers().await?;
    Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body, trailers })
}
