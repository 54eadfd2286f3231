//! `POST /drain_listeners`: which listeners close, and whose clients are asked to leave.
#![cfg(unix)]

mod process_support;

use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use process_support::bootstrap::{listener, up_to_listeners};
use process_support::{Client, Running, free_ports, wait_for};

/// Three listeners, and how they say where their traffic comes from.
const DIRECTIONS: [&str; 3] = ["", "traffic_direction: INBOUND", "traffic_direction: OUTBOUND"];

fn start() -> (Running, u16, [u16; 3]) {
    let [admin, ports @ ..] = free_ports::<4>();
    let route = "              - {match: {prefix: /}, direct_response: {status: 200}}";
    let listeners = DIRECTIONS
        .iter()
        .zip(ports)
        .map(|(direction, port)| format!("{}\n    {direction}\n", listener(port, "", route)));
    let config = up_to_listeners(admin) + &listeners.collect::<String>();
    let args = ["--concurrency", "1", "--config-yaml", &config];
    let running = Running::start(env!("CARGO_BIN_EXE_front-proxy"), &args);
    for port in [admin].into_iter().chain(ports) {
        wait_for(port);
    }
    (running, admin, ports)
}

fn post(admin: u16, path: &str) {
    let answer = Client::local(admin).exchange("POST", path, "content-length: 0\r\n");
    let (head, _) = answer.expect("an answer");
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
        sleep(Duration::from_millis(25));
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
    let leaves = |port| {
        let (head, _) = Client::local(port).exchange("GET", "/", "").expect("an answer");
        head.contains("\r\nconnection: close\r\n")
    };
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
