//! Clients that mean harm or have lost their way, among clients that only want an answer.
//!
//! Every good request is answered, and in the end nothing is left of the others: no request, no
//! connection, no file descriptor, no memory. The usual run takes seconds; the one that says
//! something about leaks takes ten minutes, of a release build:
//!
//! ```text
//! cargo build --release
//! HOSTILE_BINARY=target/release/front-proxy cargo test --test hostile -- --ignored --nocapture
//! ```

mod app;
mod bad;
mod good;
mod process;
#[path = "../process_support/mod.rs"]
mod process_support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_rustls::TlsConnector;

use self::process::Proxy;

/// Where the proxy listens, and a client's TLS that trusts it.
#[derive(Clone)]
struct Front {
    plain: SocketAddr,
    tls: SocketAddr,
    connector: TlsConnector,
}

/// What the clients have in common.
#[derive(Clone)]
struct Course {
    front: Front,
    over: Arc<AtomicBool>,
}

impl Course {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_requests_are_answered_among_hostile_ones() {
    run(Duration::from_secs(4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes ten minutes"]
async fn ten_minutes_among_hostile_clients_leave_nothing_behind() {
    run(Duration::from_secs(600)).await;
}

async fn run(lasts: Duration) {
    let app = app::start().await;
    let proxy = Proxy::start(app);
    let over = Arc::new(AtomicBool::new(false));
    let course = Course { front: proxy.front.clone(), over: Arc::clone(&over) };

    // What a worker sets up once is there before anything is counted.
    for kind in good::KINDS {
        good::one(*kind, &course.front, 0).await.expect("a first answer");
    }
    proxy.until_idle().await;
    let files = proxy.files();

    let answered = Arc::new(AtomicU64::new(0));
    let good: Vec<_> = (0..8)
        .map(|n| {
            let kind = good::KINDS[n % good::KINDS.len()];
            tokio::spawn(good::requests(kind, course.clone(), Arc::clone(&answered)))
        })
        .collect();
    let bad = bad::spawn_all(&course);

    let began = Instant::now();
    let step = lasts / 20;
    let mut resident = Vec::new();
    for n in 1..=20 {
        tokio::time::sleep(step).await;
        resident.push(proxy.resident_kib());
        println!(
            "{n} of 20, {:?}: {} good requests, {} hostile clients, {} KiB resident, {} files",
            began.elapsed(),
            answered.load(Ordering::Relaxed),
            bad::clients().iter().sum::<u64>(),
            resident[resident.len() - 1],
            proxy.files(),
        );
    }
    over.store(true, Ordering::Relaxed);
    for client in good {
        client.await.expect("a good client").expect("every good request is answered");
    }
    for client in bad {
        client.await.expect("a hostile client");
    }

    assert!(answered.load(Ordering::Relaxed) > 100, "the good clients were at it");
    for (kind, clients) in bad::KINDS.iter().zip(bad::clients()) {
        println!("{kind:?}: {clients} clients");
        assert!(clients > 0, "{kind:?} was at it");
    }
    proxy.until_idle().await;
    // Fewer are no loss: one that was only just open when they were counted first may be gone.
    let left = proxy.files_once_down_to(files).await;
    assert!(left <= files, "of {files} file descriptors there are {left}");
    let (first, second) = resident.split_at(resident.len() / 2);
    let most = |half: &[u64]| half.iter().max().copied().unwrap_or_default();
    println!("resident at most {} KiB, then {} KiB", most(first), most(second));
    if lasts >= Duration::from_secs(60) {
        assert!(most(second) < most(first) + 8 * 1024, "memory grows: {resident:?} KiB");
    }
}
