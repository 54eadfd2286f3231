//! What the process does when it is told to end, or to open its logs anew.
#![cfg(unix)]

mod process_support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use self::process_support::{Running, free_ports, until, until_open};

fn start(arguments: &[&str], config: &str) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_front-proxy"));
    command.args(["--concurrency", "1", "--config-yaml", config]).args(arguments);
    Running::spawn(command.stderr(Stdio::piped()))
}

fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    free_ports().map(|port| ([127, 0, 0, 1], port).into())
}

/// A listener whose requests go to `upstream` and are logged in `log`.
fn config(listener: SocketAddr, upstream: SocketAddr, log: &Path) -> String {
    format!(
        "
static_resources:
  listeners:
  - name: front
    address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}
    filter_chains:
    - name: the-chain
      filters:
      - name: hcm
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          access_log:
          - name: file
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {log:?}
              log_format: {{text_format_source: {{inline_string: \"%REQ(:PATH)% %FILTER_CHAIN_NAME% %RESPONSE_CODE%\\n\"}}}}
          route_config:
            virtual_hosts:
            - name: v
              domains: ['*']
              routes:
              - match: {{path: /slow}}
                route: {{cluster: slow}}
              - match: {{prefix: /}}
                direct_response: {{status: 200}}
          http_filters:
          - name: router
            typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: slow
    load_assignment:
      cluster_name: slow
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}
",
        listener.port(),
        upstream.port()
    )
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Moves a file away, and says where to.
fn move_away(path: &Path) -> PathBuf {
    let to = path.with_extension("old");
    std::fs::rename(path, &to).unwrap();
    to
}

fn send(stream: &mut TcpStream, path: &str) {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
}

fn get(address: SocketAddr, path: &str) {
    let mut stream = until_open(address);
    send(&mut stream, path);
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

/// Names may take long to resolve, and nobody who wants the process to end waits for that.
#[test]
fn it_ends_before_its_listeners_are_open() {
    let dns = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = dns.local_addr().unwrap().port();
    let config = format!(
        "static_resources:
  clusters:
  - name: a
    type: STRICT_DNS
    typed_dns_resolver_config:
      name: cares
      typed_config:
        '@type': type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig
        resolvers: [{{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}]
    load_assignment:
      cluster_name: a
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: never.test, port_value: 80}}}}}}}}]}}]
  listeners:
  - name: front
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          route_config: {{}}
          http_filters:
          - name: router
            typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"
    );
    let mut process = start(&[], &config);
    // It asks, and is told nothing.
    dns.recv(&mut [0; 512]).unwrap();
    process.signal("-TERM");
    assert!(process.wait().success());
    let mut said = String::new();
    process.stderr().read_to_string(&mut said).unwrap();
    assert!(!said.contains("listener front"), "it waited for its names: {said}");
}

#[test]
fn logs_are_opened_anew_and_what_is_cut_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let (own, access) = (folder.path().join("own.log"), folder.path().join("access.log"));
    // Takes requests and answers none.
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let [front] = free_addresses();
    let config = config(front, upstream.local_addr().unwrap(), &access);
    let flags = ["--log-path", own.to_str().unwrap(), "--file-flush-interval-msec", "20"];
    let mut process = start(&flags, &config);
    get(front, "/first");
    until("the first line", || read(&access) == "/first the-chain 200\n");

    let (old_own, old_access) = (move_away(&own), move_away(&access));
    process.signal("-USR1");
    until("both logs to be made anew", || own.exists() && access.exists());
    get(front, "/second");
    until("the second line", || read(&access) == "/second the-chain 200\n");
    assert_eq!(read(&old_access), "/first the-chain 200\n");

    // A request hangs; the process is told to end, and waits for it.
    let mut hanging = until_open(front);
    send(&mut hanging, "/slow");
    let (_connection, _) = upstream.accept().unwrap();
    process.signal("-TERM");
    until("the listener to close", || TcpStream::connect(front).is_err());
    assert!(process.ended().is_none(), "it did not wait");
    // Logs are rotated all the same.
    move_away(&access);
    process.signal("-USR1");
    until("the access log to be made anew", || access.exists());

    // Told again, it cuts the request, and says so in the log.
    process.signal("-TERM");
    assert!(process.wait().success());
    assert_eq!(hanging.read(&mut [0; 16]).unwrap_or(0), 0);
    let line = read(&access);
    assert!(line.starts_with("/slow the-chain ") && line.lines().count() == 1, "{line:?}");
    assert!(read(&old_own).contains("listener front"), "{}", read(&old_own));
    assert!(read(&own).contains("told to end again"), "{}", read(&own));
}

/// The part of a bootstrap that opens the admin port.
fn admin_pages(at: SocketAddr) -> String {
    let port = at.port();
    format!("admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}\n")
}

/// Asks the admin port, and returns its answer.
fn post(admin: SocketAddr, path: &str) -> String {
    let mut stream = until_open(admin);
    write!(stream, "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_admin_port_is_obeyed_while_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let access = folder.path().join("access.log");
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let [front, admin] = free_addresses();
    let mut config = config(front, upstream.local_addr().unwrap(), &access);
    config.push_str(&admin_pages(admin));
    let mut process = start(&["--file-flush-interval-msec", "20"], &config);
    get(front, "/first");
    until("the first line", || !read(&access).is_empty());
    let mut hanging = until_open(front);
    send(&mut hanging, "/slow");
    let (_connection, _) = upstream.accept().unwrap();
    assert!(post(admin, "/quitquitquit").starts_with("HTTP/1.1 200 "));
    until("the listener to close", || TcpStream::connect(front).is_err());
    assert!(process.ended().is_none(), "it did not wait");
    move_away(&access);
    assert!(post(admin, "/reopen_logs").ends_with("OK\n\r\n0\r\n\r\n"));
    until("the access log to be made anew", || access.exists());
    assert!(post(admin, "/quitquitquit").starts_with("HTTP/1.1 200 "));
    assert!(process.wait().success());
    assert_eq!(hanging.read(&mut [0; 16]).unwrap_or(0), 0);
}

/// What an orchestrator does before it takes an instance away, and then.
#[test]
fn it_ends_after_its_listeners_were_drained() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let [front, admin] = free_addresses();
    let access = folder.path().join("access.log");
    let mut config = config(front, upstream.local_addr().unwrap(), &access);
    config.push_str(&admin_pages(admin));
    let mut process = start(&[], &config);
    // Idle afterwards.
    let mut idle = until_open(front);
    send(&mut idle, "/first");
    idle.read_exact(&mut [0; 12]).unwrap();
    assert!(post(admin, "/drain_listeners").starts_with("HTTP/1.1 200 "));
    until("the listener to close", || TcpStream::connect(front).is_err());
    process.signal("-TERM");
    assert!(process.wait().success());
    idle.read_to_end(&mut Vec::new()).unwrap();
}
