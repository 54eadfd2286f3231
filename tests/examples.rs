//! Each example is run as its first lines say, asked, and compared.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use tokio::net::TcpStream;

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

#[tokio::test]
async fn round_robin() {
    let mut printed = String::new();
    let mut example = Example::spawn("round_robin", &[]);
    example.stdout.read_to_string(&mut printed).unwrap();
    let wanted = "a and b: a b a b a b\nc joins: a b c a b c\na leaves: b c b c b c\n";
    assert_eq!(printed, wanted);
}

#[tokio::test]
async fn admin_in_your_app() {
    let app = Example::start("admin_in_your_app");
    assert_eq!(app.get("/hello").await, "200 hello");
    let stats = app.get("/admin/stats?filter=service1.upstream_rq_total").await;
    assert_eq!(stats, "200 cluster.service1.upstream_rq_total: 1");
    let prometheus = app.get("/admin/stats/prometheus").await;
    let line = r#"envoy_cluster_upstream_rq_total{envoy_cluster_name="service1"} 1"#;
    assert!(prometheus.lines().any(|l| l == line), "{prometheus}");
    let clusters = app.get("/admin/clusters").await;
    assert!(clusters.contains("::rq_total::1\n"), "{clusters}");
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
        assert!(include_str!("examples.rs").contains(&format!("async fn {name}()")), "{name}");
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
