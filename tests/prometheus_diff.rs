//! Names, labels and types of `/stats/prometheus` beside those of a real Envoy, after the same
//! requests.
//!
//! ```text
//! ENVOY=/usr/local/bin/envoy cargo test --test prometheus_diff -- --ignored --nocapture
//! ```

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const REQUESTS: usize = 1_000;

#[test]
#[ignore = "needs Envoy: name its binary in ENVOY"]
fn after_the_same_requests_the_same_is_exported() {
    let envoy = std::env::var("ENVOY").expect("ENVOY names Envoy's binary");
    let theirs = exported(&envoy, &["--use-dynamic-base-id", "-l", "error"]);
    let ours = exported(env!("CARGO_BIN_EXE_front-proxy"), &["-l", "error"]);
    let missing: Vec<_> = theirs.difference(&ours).collect();
    let ours_only: Vec<_> = ours.difference(&theirs).collect();
    println!("{} lines of Envoy's, {} of ours", theirs.len(), ours.len());
    missing.iter().for_each(|line| println!("- {line}"));
    ours_only.iter().for_each(|line| println!("+ {line}"));
    assert!(missing.is_empty(), "{} of Envoy's lines are missing", missing.len());
    assert!(ours_only.is_empty(), "{} lines that Envoy has not", ours_only.len());
}

/// The `# TYPE` lines and the samples without their values.
fn exported(program: &str, arguments: &[&str]) -> BTreeSet<String> {
    let [listener, admin] = [(); 2].map(|()| free_port());
    let (app, dead) = (backend(), free_port());
    let proxy = Proxy::start(program, arguments, &bootstrap(listener, admin, app, dead));
    for port in [admin, listener] {
        proxy.wait_for(port);
    }
    let mut client = connect(listener);
    for number in 0..REQUESTS {
        let path = ["/app", "/app/503", "/none", "/dead", "/direct"][number % 5];
        request(&mut client, path);
    }
    drop(client);
    // Gauges and histograms settle with the connection's end and the workers' next merge.
    std::thread::sleep(Duration::from_millis(5_500));
    let mut client = connect(admin);
    client
        .write_all(b"GET /stats/prometheus HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .expect("sent");
    let mut page = Vec::new();
    client.read_to_end(&mut page).expect("a page");
    let page = String::from_utf8_lossy(&page).replace(&format!("_{listener}"), "_PORT");
    let lines =
        page.lines().filter(|line| line.starts_with("# TYPE") || line.starts_with("envoy_"));
    lines
        .map(|line| match line.starts_with('#') {
            true => line.to_owned(),
            false => line.rsplit_once(' ').map_or(line, |(sample, _)| sample).to_owned(),
        })
        .collect()
}

fn bootstrap(listener: u16, admin: u16, app: u16, dead: u16) -> String {
    let cluster = |name: &str, port: u16| {
        format!(
            "{{name: {name}, connect_timeout: 1s, load_assignment: {{cluster_name: {name}, \
             endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: \
             {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]}}}}"
        )
    };
    format!(
        r#"
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {listener}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress_http
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: /direct}}
                direct_response: {{status: 200, body: {{inline_string: d}}}}
              - match: {{prefix: /dead}}
                route: {{cluster: dead}}
              - match: {{prefix: /app}}
                route: {{cluster: app}}
  clusters:
  - {app}
  - {dead}
"#,
        app = cluster("app", app),
        dead = cluster("dead", dead),
    )
}

/// A proxy that is killed at the end.
struct Proxy {
    child: Child,
    _config: tempfile::NamedTempFile,
}

impl Proxy {
    fn start(program: &str, arguments: &[&str], bootstrap: &str) -> Self {
        let mut config = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
        config.write_all(bootstrap.as_bytes()).expect("written");
        let child = Command::new(program)
            .arg("-c")
            .arg(config.path())
            .args(["--concurrency", "1"])
            .args(arguments)
            .stdin(Stdio::null())
            .spawn()
            .expect("started");
        Self { child, _config: config }
    }

    fn wait_for(&self, port: u16) {
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "nobody listens on {port}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    stream
}

/// Sends a request on a kept connection and reads its answer, which has a `content-length`.
fn request(stream: &mut TcpStream, path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes()).expect("sent");
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).expect("an answer");
        assert_ne!(read, 0, "closed before the answer to {path}");
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            return;
        }
    }
}

/// Answers with 200, or with the status at the end of the path, on kept connections.
fn backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    request.extend_from_slice(&buffer[..read]);
                    if !request.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    let failing = request.starts_with(b"GET /app/503 ");
                    let status = if failing { "503 No" } else { "200 OK" };
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                    request.clear();
                }
            });
        }
    });
    port
}
