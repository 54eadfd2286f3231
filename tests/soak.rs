//! Many requests through the sandbox, and through a proxy whose upstreams are killed and come back.
//!
//! Not part of the usual run: it takes minutes, and its figures mean something in a release build.
//!
//! ```text
//! cargo test --release --test soak -- --ignored --nocapture
//! SOAK_REQUESTS=100000 SOAK_BINARY=target/release/front-proxy cargo test --test soak -- --ignored --nocapture
//! ```

mod process_support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use process_support::bootstrap::{Bootstrap, cluster};
use process_support::{Client, Running, free_ports, stat, until_stat, wait_for};

const CONNECTIONS: u64 = 64;

/// Every request is answered, the instances take turns strictly at each scale, the counters add
/// up, and memory stays where it was after the first part.
#[test]
#[ignore = "takes minutes"]
fn a_million_requests_through_the_sandbox() {
    let requests = requests();
    let [http, https, admin, control, service] = free_ports();
    let sandbox = start(&[
        "sandbox".into(),
        "--scale=service1=1".into(),
        format!("--http-port={http}"),
        format!("--https-port={https}"),
        format!("--admin-port={admin}"),
        format!("--control-port={control}"),
        format!("--service-port={service}"),
    ]);
    wait_for(http);
    let front = SocketAddr::from(([127, 0, 0, 1], http));
    let mut resident = Vec::new();
    let mut sent = 0;
    // Twice the same: what a scale needs is there after the first time.
    for instances in [1, 3, 2, 5, 1, 3, 2, 5] {
        scale(control, instances);
        until_stat(admin, "cluster.service1.membership_total", instances);
        let share = requests / 8;
        let tally = load(front, "/service/1", share, &AtomicBool::new(false));
        sent += share;
        assert_eq!(tally.failed, 0, "{:?}", tally.failures);
        assert_eq!(tally.by_host.len() as u64, instances, "{:?}", tally.by_host);
        let most = tally.by_host.values().max().copied().unwrap_or(0);
        let least = tally.by_host.values().min().copied().unwrap_or(0);
        assert!(most - least <= 1, "not strict: {:?}", tally.by_host);
        resident.push(sandbox.resident_kib());
        println!(
            "{sent} of {requests}: {instances} instances {:?}, {:.0} requests/s, {} KiB resident",
            tally.by_host.values().collect::<Vec<_>>(),
            share as f64 / tally.took.as_secs_f64(),
            resident[resident.len() - 1],
        );
    }
    for name in [
        "cluster.service1.upstream_rq_200",
        "cluster.service1.upstream_rq_total",
        "cluster.service1.external.upstream_rq_2xx",
        "http.ingress_http.downstream_rq_2xx",
        "http.ingress_http.downstream_rq_total",
    ] {
        assert_eq!(stat(admin, name), sent, "{name}");
    }
    for name in ["cluster.service1.upstream_rq_active", "http.ingress_http.downstream_rq_active"] {
        assert_eq!(stat(admin, name), 0, "{name}");
    }
    // What grows with the number of requests would show as tens of megabytes.
    for (first, second) in resident.iter().zip(&resident[4..]) {
        assert!(*second < first + 16 * 1024, "{resident:?}");
    }
}

/// A killed upstream costs at most the requests that were in flight on it.
#[test]
#[ignore = "takes minutes"]
fn a_killed_upstream_costs_what_was_in_flight_on_it() {
    let [listener, admin, a, b, c] = free_ports();
    let routes = r"
              - match: {prefix: /}
                route:
                  cluster: service1
                  # Strict turns can bring a retry to the same upstream: not to one that has failed.
                  retry_policy:
                    retry_on: connect-failure
                    num_retries: 3
                    retry_host_predicate:
                    - name: envoy.retry_host_predicates.previous_hosts
                      typed_config: {'@type': type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}
                    host_selection_retry_max_attempts: 10";
    // All clients may be retrying at once while an upstream is away.
    let retries = "circuit_breakers: {thresholds: [{max_retries: 1000}]},";
    let clusters = &cluster("service1", retries, &[a, b, c]);
    let bootstrap = Bootstrap { admin, listener, routes, clusters, ..Bootstrap::default() }.yaml();
    let app = |port: u16, name: &str| {
        let app = start(&[
            "service".into(),
            format!("--address=127.0.0.1:{port}"),
            format!("--hostname={name}"),
        ]);
        wait_for(port);
        app
    };
    let (_a, _b) = (app(a, "a"), app(b, "b"));
    let mut killed = Some(app(c, "c"));
    let _proxy = start(&[
        "--config-yaml".into(),
        bootstrap,
        "--concurrency=2".into(),
        "--log-level=error".into(),
    ]);
    wait_for(listener);

    let stop = Arc::new(AtomicBool::new(false));
    let front = SocketAddr::from(([127, 0, 0, 1], listener));
    let load = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || load(front, "/service/1", u64::MAX, &stop))
    };
    let kills = 5;
    for kill in 1..=kills {
        thread::sleep(Duration::from_millis(1500));
        drop(killed.take());
        thread::sleep(Duration::from_millis(500));
        killed = Some(app(c, "c"));
        println!("killed and started again: {kill} of {kills}");
    }
    thread::sleep(Duration::from_millis(500));
    stop.store(true, Ordering::Relaxed);
    let tally = load.join().expect("the load");
    println!("{} answered, {} lost: {:?}", tally.answered, tally.failed, tally.failures);
    assert!(tally.answered > 1000);
    // Each client has one request in flight, and not more than one of them on the one killed.
    assert!(tally.failed <= kills * CONNECTIONS, "{:?}", tally.failures);
    assert!(
        tally.failures.keys().all(|f| f.contains("connection termination")),
        "{:?}",
        tally.failures
    );
    assert!(tally.by_host.contains_key("c"), "it came back: {:?}", tally.by_host);
}

/// What came of the requests of all connections.
#[derive(Default)]
struct Tally {
    answered: u64,
    failed: u64,
    failures: BTreeMap<String, u64>,
    by_host: BTreeMap<String, u64>,
    took: Duration,
}

/// Sends `requests` over [`CONNECTIONS`] kept connections, one at a time on each.
fn load(to: SocketAddr, path: &'static str, requests: u64, stop: &AtomicBool) -> Tally {
    let left = AtomicU64::new(requests);
    let began = Instant::now();
    let mut total = Tally::default();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| {
                    let mut tally = Tally::default();
                    let mut client = Client::connect(to);
                    while !stop.load(Ordering::Relaxed)
                        && left
                            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                                n.checked_sub(1)
                            })
                            .is_ok()
                    {
                        match client.get(path) {
                            Ok(body) => {
                                tally.answered += 1;
                                let host = body.split(' ').nth(7).unwrap_or(&body).to_owned();
                                *tally.by_host.entry(host).or_default() += 1;
                            }
                            Err(error) => {
                                tally.failed += 1;
                                *tally.failures.entry(error).or_default() += 1;
                                client = Client::connect(to);
                            }
                        }
                    }
                    tally
                })
            })
            .collect();
        for client in clients {
            let tally = client.join().expect("a client");
            total.answered += tally.answered;
            total.failed += tally.failed;
            for (host, n) in tally.by_host {
                *total.by_host.entry(host).or_default() += n;
            }
            for (failure, n) in tally.failures {
                *total.failures.entry(failure).or_default() += n;
            }
        }
    });
    total.took = began.elapsed();
    total
}

fn start(args: &[String]) -> Running {
    Running::start(&binary(), args)
}

/// The binary under test: this build's, unless another is named.
fn binary() -> String {
    std::env::var("SOAK_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_front-proxy").to_owned())
}

fn requests() -> u64 {
    std::env::var("SOAK_REQUESTS").map_or(1_000_000, |n| n.parse().expect("a number"))
}

fn scale(control: u16, instances: u64) {
    let status = Command::new(binary())
        .args(["sandbox", "scale", &format!("service1={instances}")])
        .arg(format!("--control-port={control}"))
        .stdout(Stdio::null())
        .status()
        .expect("the binary");
    assert!(status.success());
}
