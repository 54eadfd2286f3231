//! Each example is run as its first lines say, asked, and compared.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use futures_util::{SinkExt, StreamExt};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn axum_app() {
    let app = Example::start("axum_app");
    assert_eq!(app.get("/").await, "200 the app itself");
    let round = [app.get("/service/1").await, app.get("/service/1").await];
    assert_eq!(
        round,
        ["200 service1, first: GET /service/1", "200 service1, second: GET /service/1"]
    );
    let post = app.ask(Method::POST, "/service/2", &[]).await;
    assert_eq!(post.1, "200 service2: POST /service/2");
    assert_eq!(app.get("/service/3").await, "404");
}

#[tokio::test]
async fn compose_layers() {
    let app = Example::start("compose_layers");
    let (head, answer) = app.ask(Method::GET, "/api/hello", &[]).await;
    assert_eq!(answer, "200 hello");
    assert_eq!(head.headers["server"], "example");
    assert!(head.headers.contains_key("x-envoy-upstream-service-time"));
    let (head, answer) = app.ask(Method::GET, "/old/hello", &[]).await;
    assert_eq!(answer, "301");
    let location = head.headers["location"].to_str().unwrap();
    assert!(location.ends_with("/api/hello"), "{location}");
    assert_eq!(app.get("/slow").await, "504 upstream request timeout");
}

#[tokio::test]
async fn own_layer() {
    let app = Example::start("own_layer");
    assert_eq!(app.get("/").await, "401 who are you?");
    let (_, answer) = app.ask(Method::GET, "/", &[("x-token", "secret")]).await;
    assert_eq!(answer, "200 welcome");
    assert_eq!(app.get("/public").await, "200 welcome");
}

#[tokio::test]
async fn own_balancer() {
    let app = Example::start("own_balancer");
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(app.get("/").await);
    }
    let count = |name| answers.iter().filter(|answer| **answer == format!("200 {name}")).count();
    assert_eq!([count("a"), count("b"), count("canary")], [4, 4, 2], "{answers:?}");
}

#[test]
fn round_robin() {
    let wanted = "a and b: a b a b a b\nc joins: a b c a b c\na leaves: b c b c b c\n";
    assert_eq!(Example::printed("round_robin"), wanted);
}

#[tokio::test]
async fn admin_in_your_app() {
    let app = Example::start("admin_in_your_app");
    assert_eq!(app.get("/hello").await, "200 hello");
    assert_eq!(app.get("/admin/stats").await, "401");
    let login = [("authorization", "Basic YWRtaW46c2VjcmV0")];
    let get = async |path| app.ask(Method::GET, path, &login).await.1;
    let stats = get("/admin/stats?filter=service1.upstream_rq_total").await;
    assert_eq!(stats, "200 cluster.service1.upstream_rq_total: 1");
    let prometheus = get("/admin/stats/prometheus").await;
    let line = r#"envoy_cluster_upstream_rq_total{envoy_cluster_name="service1"} 1"#;
    assert!(prometheus.lines().any(|l| l == line), "{prometheus}");
    let clusters = get("/admin/clusters").await;
    for part in ["service1::default_priority::max_connections::1024\n", "::rq_total::1\n"] {
        assert!(clusters.contains(part), "{part} in {clusters}");
    }
}

#[tokio::test]
async fn from_bootstrap() {
    let app = Example::start("from_bootstrap");
    assert_eq!(app.get("/").await, "200 the app itself");
    let (head, answer) = app.ask(Method::GET, "/api/x?y", &[]).await;
    // What comes from this machine comes from its address.
    let client = answer.strip_prefix("200 /v1/x?y for ").expect(&answer);
    client.parse::<std::net::IpAddr>().expect(client);
    assert_eq!(head.headers["x-by"], "api");
    let clusters = app.get("/admin/clusters").await;
    assert!(
        clusters.contains("api::127.0.0.1:") && clusters.contains("::rq_total::1\n"),
        "{clusters}"
    );
    let dump = app.get("/admin/config_dump?resource=static_clusters&mask=cluster.name").await;
    assert!(dump.contains("\"name\": \"api\""), "{dump}");
}

#[tokio::test]
async fn canary() {
    let app = Example::start("canary");
    let (_, answer) = app.ask(Method::GET, "/api/version", &[("x-canary", "yes")]).await;
    assert_eq!(answer, "200 v2");
    let mut old = 0;
    for _ in 0..100 {
        old += usize::from(app.get("/api/version").await == "200 v1");
    }
    // 90 are expected, give or take 3; this far off is one run in a billion.
    assert!(old >= 70, "{old} of 100");
    assert_eq!(app.get("/apiary").await, "404");
}

#[tokio::test]
async fn sidecar() {
    let app = Example::start("sidecar");
    for _ in 0..2 {
        let (head, answer) = app.ask(Method::GET, "/hello", &[]).await;
        assert_eq!(answer, "200 hello, neighbour");
        assert_eq!(head.headers["x-request-id"].len(), 36);
        assert!(head.headers.contains_key("x-envoy-upstream-service-time"));
    }
    let metrics = app.get("/metrics").await;
    for line in [
        r#"envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="inbound"} 2"#,
        r#"envoy_cluster_upstream_rq_retry_success{envoy_cluster_name="neighbour"} 2"#,
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} in {metrics}");
    }
}

#[test]
fn grpc() {
    let wanted = "one answer: [hello, you] grpc-status 0\n\
                  many: [1 2 3] grpc-status 0\n\
                  both talk: [a b c] grpc-status 0\n\
                  nobody: [] grpc-status 12\n";
    assert_eq!(Example::printed("grpc"), wanted);
}

#[tokio::test]
async fn websocket_chat() {
    let app = Example::start("websocket_chat");
    assert!(app.get("/").await.starts_with("200 <!doctype html>"));
    let join = async || {
        let stream = TcpStream::connect(app.address).await.unwrap();
        let url = format!("ws://{}/chat", app.address);
        let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("welcome"));
        socket
    };
    let (mut one, mut two) = (join().await, join().await);
    one.send(Message::text("hello")).await.unwrap();
    assert_eq!(two.next().await.unwrap().unwrap(), Message::text("hello"));
    two.send(Message::text("hello yourself")).await.unwrap();
    assert_eq!(one.next().await.unwrap().unwrap(), Message::text("hello"));
    assert_eq!(one.next().await.unwrap().unwrap(), Message::text("hello yourself"));
}

#[tokio::test]
async fn own_discovery() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("members.txt");
    let mut example = Example::spawn("own_discovery", &["127.0.0.1:0", file.to_str().unwrap()]);
    let mut line = String::new();
    example.stdout.read_line(&mut line).unwrap();
    assert_eq!(line, format!("members in {}\n", file.display()));
    let app = example.listening();
    let both = [app.get("/").await, app.get("/").await];
    assert!(both.contains(&"200 a".to_owned()) && both.contains(&"200 b".to_owned()), "{both:?}");
    let lines = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, lines.lines().nth(1).unwrap()).unwrap();
    // It is read again within a second. Two in a row from `b`: the turn of the other is gone.
    let mut last = Vec::new();
    for _ in 0..600 {
        last = vec![app.get("/").await, app.get("/").await];
        if last == ["200 b", "200 b"] {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{last:?}");
}

#[tokio::test]
async fn own_stats_names() {
    let app = Example::start("own_stats_names");
    assert_eq!(app.get("/hello").await, "200 hello");
    let metrics = app.get("/metrics").await.split_off(4);
    let names = metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut names: Vec<_> = names.map(|line| line.split(['{', ' ']).next().unwrap()).collect();
    names.dedup();
    names.sort();
    names.dedup();
    let wanted = [
        "myapp_call_ms",
        "myapp_call_ms_count",
        "myapp_call_ms_sum",
        "myapp_calls_total",
        "myapp_calls_under_way",
    ];
    assert_eq!(names, wanted, "{metrics}");
    let line = r#"myapp_calls_total{service="greeter"} 1"#;
    assert!(metrics.lines().any(|l| l == line), "{metrics}");
}

#[tokio::test]
async fn with_tower_http() {
    let app = Example::start("with_tower_http");
    let (head, plain) = app.ask(Method::GET, "/text", &[]).await;
    assert!(plain.starts_with("200 a text to compress."));
    assert_eq!(head.headers["x-request-id"].len(), 36);
    assert_eq!(head.headers["access-control-allow-origin"], "*");
    let (head, packed) = app.ask(Method::GET, "/text", &[("accept-encoding", "gzip")]).await;
    assert_eq!(head.headers["content-encoding"], "gzip");
    assert!(packed.len() < plain.len() / 2);
}

#[tokio::test]
async fn without_axum() {
    let app = Example::start("without_axum");
    let (_, answer) = app.ask(Method::GET, "/", &[("x-forwarded-for", "1.2.3.4")]).await;
    assert_eq!(answer, "200 hello, 1.2.3.4,127.0.0.1");
}

#[tokio::test]
async fn scrape() {
    let app = Example::start("scrape");
    assert_eq!(app.get("/hello").await, "200 hello");
    assert_eq!(app.get("/greet").await, "200 from the app itself");
    let metrics = app.get("/metrics").await;
    let ours = r#"envoy_cluster_upstream_rq_total{envoy_cluster_name="service1"} 1"#;
    for line in [ours, "greetings 1"] {
        assert!(metrics.lines().any(|l| l == line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn service() {
    let app = Example::spawn("service", &["--address", "127.0.0.1:0"]).listening();
    let answer = app.get("/service/7").await;
    assert!(answer.starts_with("200 Hello from behind Envoy (service 7)! hostname: "), "{answer}");
}

#[test]
fn every_example_says_how_to_run_it_and_has_a_test() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{name}");
        assert!(text.contains(&format!("//! cargo run --example {name}\n")), "{name}");
        assert!(text.contains("Next: "), "{name} does not say what to try next");
        let listed = include_str!("../README.md").contains(&format!("(examples/{name}.rs)"));
        assert!(listed, "{name} is not in the README");
        assert!(include_str!("examples.rs").contains(&format!("fn {name}()")), "{name}");
    }
}

#[test]
fn the_example_of_the_readmes_has_ten_lines() {
    for text in [include_str!("../README.md"), include_str!("../layers/README.md")] {
        let code = text.split("```rust,no_run\n").nth(1).expect("an example");
        let code = code.split("```").next().expect("its end");
        let lines = code.lines().filter(|line| !line.trim().is_empty());
        assert_eq!(lines.count(), 10, "{code}");
        assert!(code.lines().all(|line| line.len() <= 100), "{code}");
    }
}

/// A running example, which ends with its test.
struct Example {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

struct Listening {
    _example: Example,
    address: SocketAddr,
}

impl Example {
    fn start(name: &str) -> Listening {
        Self::spawn(name, &["127.0.0.1:0"]).listening()
    }

    fn spawn(name: &str, args: &[&str]) -> Self {
        let mut child =
            Command::new(binary(name)).args(args).stdout(Stdio::piped()).spawn().unwrap_or_else(
                |error| panic!("{name}: {error}; `cargo build --examples` makes it"),
            );
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// What it says until it ends.
    fn printed(name: &str) -> String {
        let mut printed = String::new();
        let mut example = Self::spawn(name, &[]);
        example.stdout.read_to_string(&mut printed).unwrap();
        printed
    }

    /// Reads the address that it says it listens on.
    fn listening(mut self) -> Listening {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().parse().expect(&line);
        Listening { _example: self, address }
    }
}

impl Listening {
    /// Status and body, without the last line's end.
    async fn get(&self, path: &str) -> String {
        self.ask(Method::GET, path, &[]).await.1
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (http::response::Parts, String) {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = format!("{} {}", head.status.as_u16(), String::from_utf8_lossy(&body));
        (head, text.trim_end().to_owned())
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// `cargo test` builds examples beside the program.
fn binary(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_front-proxy"));
    program.with_file_name("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION)
}
