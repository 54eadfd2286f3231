//! What a scrape of 1,000 clusters costs the requests that pass meanwhile: latencies of requests in
//! turns with a scrape each second and without one.
//!
//! Not part of the usual run: its figures mean something in a release build, on a machine that has
//! nothing else to do.
//!
//! ```text
//! SCRAPE_BINARY=target/release/front-proxy cargo test --test scrape_cost -- --ignored --nocapture
//! ```

mod process_support;

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use process_support::bootstrap::{Bootstrap, cluster};
use process_support::{Client, Running, backend, free_ports, wait_for};

const CLUSTERS: usize = 1_000;
const CLIENTS: usize = 4;
const TURN: Duration = Duration::from_secs(5);
const TURNS: usize = 6;

#[test]
#[ignore = "takes minutes"]
fn requests_while_a_thousand_clusters_are_scraped() {
    let [listener, admin] = free_ports();
    let mut config = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    config.write_all(bootstrap(listener, admin, backend()).as_bytes()).expect("written");
    let binary = std::env::var("SCRAPE_BINARY")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_front-proxy").to_owned());
    let path = config.path().to_str().expect("a path");
    let arguments = ["-c", path, "--concurrency", "1", "-l", "error"];
    let _proxy = Running::start(&binary, &arguments);
    wait_for(listener);
    // Connections are made and stats appear.
    turn(listener, admin, false);
    let (mut quiet, mut scraped) = (Vec::new(), Vec::new());
    let mut scrapes = Vec::new();
    for _ in 0..TURNS {
        quiet.append(&mut turn(listener, admin, false).0);
        let (mut times, mut pages) = turn(listener, admin, true);
        scraped.append(&mut times);
        scrapes.append(&mut pages);
    }
    quiet.sort_unstable();
    scraped.sort_unstable();
    println!("{} requests without scrapes, {} with them", quiet.len(), scraped.len());
    for (name, part) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
        let at = |times: &[u32]| times[(times.len() as f64 * part) as usize];
        let (without, with) = (at(&quiet), at(&scraped));
        let ratio = f64::from(with) / f64::from(without);
        println!("{name}: {without} us without, {with} us with a scrape each second: {ratio:.2}");
    }
    println!("longest: {:?} us without, {:?} us with", quiet.last(), scraped.last());
    scrapes.sort_unstable();
    let (took, bytes) = scrapes[scrapes.len() / 2];
    println!("{} scrapes, each {} ms for {} KiB", scrapes.len(), took.as_millis(), bytes / 1024);
    assert!(!scrapes.is_empty() && scraped.len() > 1_000);
}

/// Latencies of requests in microseconds, and what scrapes took and brought.
fn turn(listener: u16, admin: u16, scrape: bool) -> (Vec<u32>, Vec<(Duration, usize)>) {
    let end = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients = (0..CLIENTS).map(|number| {
            let end = &end;
            scope.spawn(move || {
                let mut client = Client::local(listener);
                let mut times = Vec::new();
                for request in number.. {
                    if end.load(Ordering::Relaxed) {
                        break;
                    }
                    let began = Instant::now();
                    client.get(&format!("/{}/", request % 8)).expect("an answer");
                    times.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
                }
                times
            })
        });
        let clients = clients.collect::<Vec<_>>();
        let mut scrapes = Vec::new();
        let began = Instant::now();
        while began.elapsed() < TURN {
            let next = Instant::now() + Duration::from_secs(1);
            if scrape {
                let began = Instant::now();
                let page = Client::local(admin).get("/stats/prometheus").expect("a page");
                scrapes.push((began.elapsed(), page.len()));
            }
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        end.store(true, Ordering::Relaxed);
        let times = clients.into_iter().flat_map(|client| client.join().expect("a client"));
        (times.collect(), scrapes)
    })
}

fn bootstrap(listener: u16, admin: u16, app: u16) -> String {
    let (mut routes, mut clusters) = (String::new(), String::new());
    for number in 0..CLUSTERS {
        let _ = writeln!(
            routes,
            "              - {{match: {{prefix: /{number}/}}, route: {{cluster: c{number}}}}}"
        );
        clusters += &cluster(&format!("c{number}"), "", &[app]);
    }
    let parts = Bootstrap { admin, listener, routes: &routes, clusters: &clusters, manager: "" };
    parts.yaml()
}
