//! A proxy in this process, and upstreams that do as they are told.
#![allow(dead_code, clippy::mod_module_files, reason = "shared by test binaries")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use front_proxy::config;
use front_proxy::server::{Server, ServerOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

/// What an upstream does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers with this status, and its name for a body.
    Answer(u16),
    /// Says this.
    Say(&'static str),
    /// Closes the connection.
    Close,
    /// Resets it.
    Reset,
    /// Never answers.
    Hang,
}

/// How idle connections end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Close,
    Reset,
}

/// An HTTP/1.1 upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicUsize>,
    ends: broadcast::Sender<End>,
}

impl Upstream {
    /// One that answers `200` with its name.
    pub(crate) async fn good(name: &'static str) -> Self {
        Self::start(name, |_, _| Act::Answer(200)).await
    }

    /// One that does with its n-th request, of which it gives the head and body, what `act` says.
    pub(crate) async fn start(
        name: &'static str,
        act: impl Fn(usize, &str) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let ends = broadcast::Sender::new(4);
        let (counter, subscribe, act) = (Arc::clone(&requests), ends.clone(), Arc::new(act));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (counter, act) = (Arc::clone(&counter), Arc::clone(&act));
                let mut ends = subscribe.subscribe();
                tokio::spawn(async move {
                    serve(stream, name, &counter, &*act, &mut ends).await;
                });
            }
        });
        Self { address, requests, ends }
    }

    /// How many requests it has had.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Ends its connections that wait for a request.
    pub(crate) fn end_idle(&self, end: End) {
        let _ = self.ends.send(end);
    }
}

async fn serve(
    mut stream: TcpStream,
    name: &str,
    requests: &AtomicUsize,
    act: &(dyn Fn(usize, &str) -> Act + Send + Sync),
    ends: &mut broadcast::Receiver<End>,
) {
    let reset = |stream: TcpStream| {
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    };
    loop {
        let request = tokio::select! {
            request = read_request(&mut stream) => request,
            Ok(end) = ends.recv() => {
                if end == End::Reset {
                    reset(stream);
                }
                return;
            }
        };
        let Some(request) = request else { return };
        let n = requests.fetch_add(1, Ordering::SeqCst);
        match act(n, &request) {
            Act::Answer(status) => {
                let length = name.len();
                let response =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{name}");
                if stream.write_all(response.as_bytes()).await.is_err() {
                    return;
                }
            }
            Act::Say(response) => {
                if stream.write_all(response.as_bytes()).await.is_err() {
                    return;
                }
            }
            Act::Close => return,
            Act::Reset => return reset(stream),
            Act::Hang => std::future::pending().await,
        }
    }
}

/// The head and the body by its `content-length`.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut data = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&data);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = header(head, "content-length").map_or(0, |l| l.parse().unwrap());
            if body.len() >= length {
                return Some(text.into_owned());
            }
        }
        let mut piece = [0; 16 * 1024];
        match stream.read(&mut piece).await {
            Ok(n @ 1..) => data.extend_from_slice(&piece[..n]),
            _ => return None,
        }
    }
}

/// A header of a head.
pub(crate) fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A proxy with one route, for everything, to one cluster.
#[derive(Debug)]
pub(crate) struct Proxy {
    server: Server,
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// `route` and `cluster` are further fields of theirs, each on a line of its own.
    pub(crate) async fn start(
        upstreams: &[SocketAddr],
        workers: usize,
        route: &str,
        cluster: &str,
    ) -> Self {
        let indent = |text: &str, by: usize| -> String {
            text.lines().map(|line| format!("\n{}{line}", " ".repeat(by))).collect()
        };
        let endpoints: String = upstreams
            .iter()
            .map(|u| {
                let (address, port) = (u.ip(), u.port());
                format!(
                    "\n        - endpoint: {{address: {{socket_address: \
                     {{address: {address}, port_value: {port}}}}}}}"
                )
            })
            .collect();
        let bootstrap = format!(
            r"
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
layered_runtime: {{layers: [{{name: admin, admin_layer: {{}}}}]}}
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress_http
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              include_attempt_count_in_response: true
              routes:
              - match: {{prefix: /}}
                route:
                  cluster: service1{}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: service1{}
    load_assignment:
      cluster_name: service1
      endpoints:
      - lb_endpoints:{endpoints}
",
            indent(route, 18),
            indent(cluster, 4),
        );
        let bootstrap = config::load_str("test.yaml", &bootstrap).unwrap();
        let options = ServerOptions { concurrency: workers, ..ServerOptions::default() };
        let server = Server::start(bootstrap, options).await.unwrap();
        let (_, address) = server.listeners().next().unwrap();
        Self { server, address }
    }

    /// A counter or gauge of the cluster, which has to be there.
    pub(crate) async fn stat(&self, name: &str) -> u64 {
        let found = self.find_stat(name).await;
        found.unwrap_or_else(|| panic!("there is no stat cluster.service1.{name}"))
    }

    /// A counter or gauge of the cluster, if there is one of the name.
    pub(crate) async fn find_stat(&self, name: &str) -> Option<u64> {
        let admin = self.server.admin_address().unwrap();
        let path = format!("/stats?filter=^cluster.service1.{name}$");
        let page = Client::connect(admin).await.get(&path).await;
        page.body.lines().find_map(|line| line.split_once(": ")?.1.trim().parse().ok())
    }

    /// Waits until a stat has this value.
    pub(crate) async fn until_stat(&self, name: &str, value: u64) {
        for _ in 0..2000 {
            if self.find_stat(name).await == Some(value) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{name} is {}, not {value}", self.stat(name).await);
    }

    /// The health flags of an upstream in `/clusters`.
    pub(crate) async fn health_flags(&self, upstream: SocketAddr) -> String {
        let admin = self.server.admin_address().unwrap();
        let page = Client::connect(admin).await.get("/clusters").await;
        let start = format!("service1::{upstream}::health_flags::");
        page.body.lines().find_map(|line| line.strip_prefix(&start)).unwrap().to_owned()
    }

    /// Sets values of the runtime, as in `key=value&key=value`.
    pub(crate) async fn modify_runtime(&self, values: &str) {
        let admin = self.server.admin_address().unwrap();
        let path = format!("/runtime_modify?{values}");
        let answer = Client::connect(admin).await.send("POST", &path, &[], Vec::new()).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "OK\n"), "{values}");
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// A client with one connection.
#[derive(Debug)]
pub(crate) struct Client(
    hyper::client::conn::http1::SendRequest<http_body_util::Full<bytes::Bytes>>,
);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (send, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        Self(send)
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], Vec::new()).await
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        use http_body_util::BodyExt as _;
        let mut request =
            http::Request::builder().method(method).uri(path).header("host", "front.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(http_body_util::Full::new(body.into())).unwrap();
        self.0.ready().await.unwrap();
        let response = self.0.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: head.status.as_u16(), headers, body }
    }
}
