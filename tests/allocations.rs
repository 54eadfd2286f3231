//! Recording allocates nothing: neither by itself nor in any layer that a request passes.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use allocation_counter::measure;
use bytes::Bytes;
use front_proxy::stats::{Query, Registry, StatValue};
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::proxy::Proxy;
use front_proxy_layers::stats::Scope;
use http::Request;
use http_body_util::{BodyExt, Empty};
use tower::ServiceExt;

#[test]
fn recording_allocates_nothing() {
    let registry = Registry::new(2);
    let scope = registry.scope().child("cluster").tagged("envoy_cluster_name", "s");
    let counter = scope.counter("upstream_rq_total");
    let gauge = scope.gauge("upstream_rq_active");
    let histogram = scope.histogram_ms("upstream_rq_time");
    let record = || {
        counter.increment(black_box(1));
        gauge.increment(black_box(1.0));
        gauge.decrement(black_box(1.0));
        gauge.set(black_box(3.0));
        histogram.record(black_box(12.0));
    };
    // A worker's first sample, and the first of its size, make room for those to come.
    assert_eq!(measure(record).count_total, 2);
    registry.flush();
    assert_eq!(measure(|| (0..1000).for_each(|_| record())).count_total, 0);
}

/// The same requests through the same layers, recorded and not recorded, cost the same.
#[test]
fn no_layer_allocates_to_record_a_request() {
    let registry = Registry::new(1);
    let (recorded, silent) = (each(&registry.scope()), each(&Scope::noop()));
    println!("{recorded:?} allocations for a 200, a 503 and a 404");
    assert_eq!(recorded, silent);
    // It was recorded indeed.
    let query =
        Query::parse(Some("filter=http.app.downstream_rq_total|upstream_rq_(200|503|total)$"));
    let counted = registry.select(&query.expect("valid"));
    let counted = counted.values().iter().map(|stat| (stat.name().to_owned(), stat.value()));
    let expected = [
        ("cluster.service1.external.upstream_rq_200", ROUNDS),
        ("cluster.service1.external.upstream_rq_503", ROUNDS),
        ("cluster.service1.upstream_rq_200", ROUNDS),
        ("cluster.service1.upstream_rq_503", ROUNDS),
        ("cluster.service1.upstream_rq_total", 2 * ROUNDS),
        ("http.app.downstream_rq_total", 3 * ROUNDS),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), StatValue::Counter(value)));
    assert_eq!(counted.collect::<Vec<_>>(), expected);
}

/// Requests for each path: to warm up, then a few and many to tell what one costs.
const ROUNDS: u64 = 20 + 10 + 110;

/// Allocations for each of a 200, a 503 of the upstream, and a 404 of the proxy.
fn each(scope: &Scope) -> [u64; 3] {
    let cluster = Cluster::builder("service1").stats(scope.clone()).shards(1);
    let cluster = cluster.endpoints([upstream().to_string()]).expect("an address").build();
    let proxy = Proxy::builder().route("/app", cluster).stats(scope, "app").build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("rt");
    let get = |path: &'static str, status: u16, times: u64| {
        runtime.block_on(async {
            for _ in 0..times {
                let request = Request::get(path).header("host", "h").body(Empty::<Bytes>::new());
                let response = proxy.clone().oneshot(request.expect("a request")).await;
                let response = response.expect("infallible");
                assert_eq!(response.status(), status);
                response.into_body().collect().await.expect("a body");
            }
        });
    };
    [("/app", 200), ("/app/503", 503), ("/none", 404)].map(|(path, status)| {
        get(path, status, 20);
        let few = measure(|| get(path, status, 10)).count_total;
        let many = measure(|| get(path, status, 110)).count_total;
        // To the nearest: now and then a read finds its answer without waiting, and costs one less.
        (many - few + 50) / 100
    })
}

/// Answers on a thread of its own, whose allocations are not counted.
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
                let failing = buffer.starts_with(b"GET /app/503");
                let status = if failing { "503 No" } else { "200 OK" };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
                filled = 0;
                stream.write_all(answer.as_bytes()).expect("sent");
            }
        }
    });
    address
}
