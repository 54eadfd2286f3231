//! A proxy, an upstream that does what a test says, and a client.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use front_proxy::config::load_str;
use front_proxy::server::{Server, ServerOptions};
use front_proxy::stats::{Query, StatValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

/// A proxy with one listener and one cluster, `app`.
pub(crate) struct Front {
    server: Server,
    address: SocketAddr,
}

impl Front {
    /// `manager` goes into the connection manager, `route` into the route of `/`, `cluster` into
    /// the cluster; each is YAML flow, with a comma at its end. The match of the route is `matching`.
    pub(crate) async fn start(app: SocketAddr, parts: Parts<'_>) -> Self {
        let Parts { manager, matching, route, cluster } = parts;
        let port = app.port();
        let text = format!(
            "static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: t
{manager}
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes: [{{match: {matching}, route: {{{route} cluster: app}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: app
    type: STATIC
{cluster}
    load_assignment: {{cluster_name: app, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]}}
"
        );
        let bootstrap = load_str("test.yaml", &text).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
        let options = ServerOptions { shutdown_time: Duration::from_secs(1), ..Default::default() };
        let server = Server::start(bootstrap, options).await.unwrap();
        let (_, address) = server.listeners().next().unwrap();
        Self { server, address }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// The value of a counter or gauge, once it is this one.
    pub(crate) async fn expect(&self, name: &str, value: u64) {
        let began = Instant::now();
        loop {
            let found = self.stat(name);
            if found == Some(value) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{name} is {found:?}, not {value}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn stat(&self, name: &str) -> Option<u64> {
        let all = self.server.stats().select(&Query::default());
        match all.value(name)? {
            StatValue::Counter(value) | StatValue::Gauge(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) manager: &'a str,
    pub(crate) matching: &'a str,
    pub(crate) route: &'a str,
    pub(crate) cluster: &'a str,
}

impl Default for Parts<'_> {
    fn default() -> Self {
        Self { manager: "", matching: "{prefix: /}", route: "", cluster: "" }
    }
}

/// An upstream: `serve` gets each connection with the head of its first request.
pub(crate) async fn app<F>(serve: impl Fn(TcpStream, String) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Some(head) = read_head(&mut stream).await {
                tokio::spawn(serve(stream, head));
            }
        }
    });
    address
}

/// An upstream that answers with this text after a while and keeps the connection.
pub(crate) async fn answers(after: Duration, text: &'static str) -> SocketAddr {
    app(move |mut stream, _| async move {
        loop {
            tokio::time::sleep(after).await;
            if stream.write_all(text.as_bytes()).await.is_err()
                || read_head(&mut stream).await.is_none()
            {
                return;
            }
        }
    })
    .await
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// An answer with its body, by `content-length`.
    pub(crate) async fn answer(&mut self) -> String {
        let read = async {
            let head = read_head(&mut self.0).await.expect("an answer");
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            self.0.read_exact(&mut body).await.unwrap();
            head + &String::from_utf8(body).unwrap()
        };
        timeout(Duration::from_secs(20), read).await.expect("an answer in time")
    }

    /// So many bytes.
    pub(crate) async fn bytes(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count];
        let read = self.0.read_exact(&mut bytes);
        timeout(Duration::from_secs(20), read).await.expect("bytes in time").unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// What comes until the proxy closes, and how long that takes.
    pub(crate) async fn rest(&mut self) -> (String, Duration) {
        let began = Instant::now();
        let mut rest = Vec::new();
        let read = self.0.read_to_end(&mut rest);
        timeout(Duration::from_secs(20), read).await.expect("an end in time").unwrap();
        (String::from_utf8(rest).unwrap(), began.elapsed())
    }

    pub(crate) async fn is_open(&mut self) -> bool {
        timeout(Duration::from_millis(150), self.0.read_u8()).await.is_err()
    }
}
