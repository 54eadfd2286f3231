//! A proxy over loopback with one upstream, which answers with the request head it got.
#![allow(dead_code, clippy::mod_module_files, reason = "shared by test binaries")]

use std::net::SocketAddr;
use std::time::Duration;

use front_proxy::config::load_str;
use front_proxy::server::{Server, ServerOptions};
use front_proxy::stats::{Query, StatValue};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Proxy {
    server: Server,
    address: SocketAddr,
}

/// An answer: status, headers in order, body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// A header's lines, joined by `|`.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let lines: Vec<_> =
            self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
        (!lines.is_empty()).then(|| lines.join("|"))
    }

    /// A header that the upstream got, its lines joined by `|`.
    pub(crate) fn seen(&self, name: &str) -> Option<String> {
        let prefix = format!("{name}: ");
        let lines: Vec<_> =
            self.body.lines().filter_map(|line| line.strip_prefix(prefix.as_str())).collect();
        (!lines.is_empty()).then(|| lines.join("|"))
    }

    /// The request line that the upstream got.
    pub(crate) fn seen_line(&self) -> &str {
        self.body.lines().next().unwrap_or_default()
    }
}

impl Proxy {
    /// Starts one. `manager` are fields of the connection manager, `routes` the body of its
    /// `route_config`, both in YAML's flow style; `CLUSTER` is the upstream's.
    pub(crate) async fn start(manager: &str, routes: &str) -> Self {
        Self::with_filters("", manager, routes).await
    }

    /// The same with filters before the router, each with a comma after it. In `@type`s `EXT/` stands
    /// for `type.googleapis.com/envoy.extensions.filters.http.`.
    pub(crate) async fn with_filters(filters: &str, manager: &str, routes: &str) -> Self {
        let upstream = upstream().await;
        let manager = if manager.is_empty() { String::new() } else { format!("{manager},") };
        let node = if filters.is_empty() { "" } else { "node: {cluster: node-cluster}" };
        let text = format!(
            "admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
{node}
layered_runtime: {{layers: [{{name: admin, admin_layer: {{}}}}]}}
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config: {{
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
          stat_prefix: test, {manager}
          route_config: {{validate_clusters: false, {routes}}},
          http_filters: [{filters} {{name: router, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]}}
  clusters:
  - {{name: CLUSTER, type: STRICT_DNS, load_assignment: {{cluster_name: CLUSTER, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]}}}}
  - {{name: empty, load_assignment: {{cluster_name: empty}}}}
",
            port = upstream.port()
        );
        let text = text.replace("EXT/", "type.googleapis.com/envoy.extensions.filters.http.");
        let bootstrap = load_str("test", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let server = Server::start(bootstrap, ServerOptions::default()).await.expect("started");
        let address = server.listeners().next().expect("a listener").1;
        Self { server, address }
    }

    /// Starts one with these routes for any host.
    pub(crate) async fn with_routes(manager: &str, routes: &str) -> Self {
        let host = format!("virtual_hosts: [{{name: v, domains: ['*'], routes: [{routes}]}}]");
        Self::start(manager, &host).await
    }

    /// One request on a connection of its own; `rest` are its header lines after `Host`.
    pub(crate) async fn get(&self, path: &str, rest: &[&str]) -> Answer {
        let lines: String = rest.iter().map(|line| format!("{line}\r\n")).collect();
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: front.example\r\n{lines}\r\n")).await
    }

    /// Sends bytes and reads one answer.
    pub(crate) async fn send(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("written");
        let head = request.starts_with("HEAD ");
        read_answer(&mut BufReader::new(stream), head).await
    }

    /// `POST`s to the admin port.
    pub(crate) async fn admin(&self, path: &str) {
        let address = self.server.admin_address().expect("an admin port");
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The value of a counter or gauge, if there is one of the name.
    pub(crate) fn find_counter(&self, name: &str) -> Option<u64> {
        let query = Query::parse(None).expect("an empty query");
        let selection = self.server.stats().select(&query);
        match selection.value(name)? {
            StatValue::Counter(value) | StatValue::Gauge(value) => Some(value),
            other => panic!("{name} is {other:?}"),
        }
    }

    /// The value of a counter or gauge, which has to be there.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.find_counter(name).unwrap_or_else(|| panic!("there is no stat {name}"))
    }

    /// Waits until a counter is at `want`: what is counted of a connection is counted at its end.
    pub(crate) async fn counts(&self, name: &str, want: u64) {
        for _ in 0..2000 {
            if self.find_counter(name) == Some(want) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{name} is {}, not {want}", self.counter(name));
    }
}

async fn read_answer(stream: &mut BufReader<TcpStream>, head: bool) -> Answer {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        let count = stream.read_line(&mut line).await.expect("a line");
        let line = line.trim_end();
        if count == 0 || line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let status = lines.first().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let status = status.parse().expect("a status");
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .map(|line| line.split_once(": ").unwrap_or((line.trim_end_matches(':'), "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().expect("a length"));
    let mut body = vec![0; if head { 0 } else { length }];
    stream.read_exact(&mut body).await.expect("the body");
    Answer { status, headers, body: String::from_utf8(body).expect("text") }
}

/// Answers each request with its head as body, and with the headers that `x-respond` asks for:
/// `name=value;name=value`. One with `x-hang` is never answered.
async fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                loop {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    if head.contains("x-hang: ") {
                        std::future::pending::<()>().await;
                    }
                    let asked = head.lines().find_map(|line| line.strip_prefix("x-respond: "));
                    let extra: String = asked
                        .into_iter()
                        .flat_map(|asked| asked.split(';'))
                        .map(|header| header.replacen('=', ": ", 1) + "\r\n")
                        .collect();
                    let length = head.len();
                    let answer =
                        format!("HTTP/1.1 200 OK\r\n{extra}content-length: {length}\r\n\r\n{head}");
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
