//! `POST /drain_listeners`: which listeners close, and whose clients are asked to leave.
#![cfg(unix)]

mod process_support;

use std::io::{Read, Write};
use std::net::TcpStream;

use process_support::{Running, free_ports, wait_for};

/// Three listeners, and how they say where their traffic comes from.
const DIRECTIONS: [&str; 3] = ["", "traffic_direction: INBOUND", "traffic_direction: OUTBOUND"];

fn start() -> (Running, u16, [u16; 3]) {
    let [admin, ports @ ..] = free_ports::<4>();
    let listeners = DIRECTIONS.iter().zip(ports).map(|(direction, port)| {
        format!(
            "
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          route_config:
            virtual_hosts:
            - name: v
              domains: ['*']
              routes: [{{match: {{prefix: /}}, direct_response: {{status: 200}}}}]
          http_filters:
          - name: router
            typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
    {direction}"
        )
    });
    let config = format!(
        "admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}
static_resources:
  listeners:{}
",
        listeners.collect::<String>()
    );
    let args = ["--concurrency", "1", "--config-yaml", &config];
    let running = Running::start(env!("CARGO_BIN_EXE_front-proxy"), &args);
    for port in [admin].into_iter().chain(ports) {
        wait_for(port);
    }
    (running, admin, ports)
}

/// The head of the answer.
fn ask(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    write!(stream, "{request} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

fn post(admin: u16, path: &str) {
    let head = ask(admin, &format!("POST {path}"));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn until_closed(port: u16) {
    for _ in 0..400 {
        if !is_open(port) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    panic!("{port} is open still");
}

#[test]
fn only_inbound_listeners_close_if_told_so() {
    let (_running, admin, [plain, inbound, outbound]) = start();
    post(admin, "/drain_listeners?inboundonly");
    until_closed(inbound);
    assert!(is_open(plain) && is_open(outbound));
    post(admin, "/drain_listeners");
    until_closed(plain);
    until_closed(outbound);
}

#[test]
fn only_their_clients_are_asked_to_leave() {
    let (_running, admin, [plain, inbound, outbound]) = start();
    let leaves = |port| ask(port, "GET /").contains("\r\nconnection: close\r\n");
    post(admin, "/drain_listeners?graceful&skip_exit&inboundonly");
    assert!(leaves(inbound) && !leaves(plain) && !leaves(outbound));
    // Health is another matter: to be healthy again does not call a drain off.
    post(admin, "/healthcheck/fail");
    assert!(leaves(inbound) && leaves(plain) && leaves(outbound));
    post(admin, "/healthcheck/ok");
    assert!(leaves(inbound) && !leaves(plain) && !leaves(outbound));
    post(admin, "/drain_listeners?graceful&skip_exit");
    assert!(leaves(plain) && leaves(outbound));
}
