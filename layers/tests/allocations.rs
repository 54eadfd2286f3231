//! What a plain GET costs on a kept connection, in allocations: the one number about speed that
//! comes out the same on every machine.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use bytes::Bytes;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::proxy::Proxy;
use http::Request;
use http_body_util::{BodyExt, Empty};
use tower::ServiceExt;

/// Measured, and a little air. Look twice before you raise it: it is paid for every request.
const MOST: u64 = 14;

#[test]
fn a_plain_get_allocates_little() {
    let address = upstream().to_string();
    let cluster = Cluster::builder("c").endpoints([address]).expect("an address").shards(1).build();
    let proxy = Proxy::new(cluster);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("rt");
    // The first one connects, and more warm up what grows.
    get(&runtime, &proxy, 20);
    let few = allocation_counter::measure(|| get(&runtime, &proxy, 10)).count_total;
    let many = allocation_counter::measure(|| get(&runtime, &proxy, 110)).count_total;
    let each = (many - few) / 100;
    println!("{each} allocations for a request");
    assert!(each <= MOST, "{each}");
}

fn get(runtime: &tokio::runtime::Runtime, proxy: &Proxy, n: usize) {
    runtime.block_on(async {
        for _ in 0..n {
            let request = Request::get("/").header("host", "h").body(Empty::<Bytes>::new());
            let response = proxy.clone().oneshot(request.expect("a request")).await;
            let response = response.expect("infallible");
            assert_eq!(response.status(), 200);
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!(body, "ok");
        }
    });
}

/// Answers every head with the same bytes, on a thread of its own whose allocations are not counted.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut buffer = [0; 4096];
        let mut filled = 0;
        while let Ok(read @ 1..) = stream.read(&mut buffer[filled..]) {
            filled += read;
            if buffer[..filled].ends_with(b"\r\n\r\n") {
                filled = 0;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").expect("sent");
            }
        }
    });
    address
}
