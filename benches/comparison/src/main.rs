//! CPU time per request of reverse proxies for axum, under the same load.
//!
//! ```sh
//! cargo run --release            # all of it, a few minutes
//! cargo run --release -- 5 2000  # five rounds of 2000 requests a piece
//! cargo run --release -- defects # no figures: what each does with requests that are not plain
//! ```
//!
//! Each proxy is a process of its own: one axum app on a single thread, everything at its defaults. The upstream
//! and the clients are threads of this process, so that what they cost is not counted. What is
//! counted is the time that the kernel gave to the proxy's threads. Rounds alternate between the
//! proxies, and a round is compared with the same round of the others: what else the machine does
//! hits all of them.

mod defects;
mod load;
mod proxies;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use load::{Load, Upstream};

/// What is compared; the first is what others are measured by.
const PROXIES: &[&str] =
    &["front-proxy-layers", "axum-reverse-proxy", "tower-proxy", "axum-proxy", "none"];

const LOADS: &[Load] = &[
    Load { name: "GET, 1 KiB back", sent: 0, received: 1024 },
    Load { name: "GET, 64 KiB back", sent: 0, received: 64 * 1024 },
    Load { name: "POST, 64 KiB there", sent: 64 * 1024, received: 16 },
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next() {
        Some(what) if what == "defects" => defects::show(&PROXIES[..PROXIES.len() - 1]),
        Some(name) if name.parse::<usize>().is_err() => {
            let upstream = arguments.next().expect("the upstream's address");
            proxies::serve(&name, &upstream);
        }
        rounds => {
            let rounds = rounds.map_or(9, |n| n.parse().expect("a number"));
            let requests = arguments.next().map_or(8000, |n| n.parse().expect("a number"));
            compare(rounds, requests);
        }
    }
}

fn compare(rounds: usize, requests: usize) {
    let upstream = Upstream::start();
    let proxies: Vec<Proxy> =
        PROXIES.iter().map(|name| Proxy::start(name, upstream.address)).collect();
    for load in LOADS {
        // Connections, caches, the allocator.
        for proxy in &proxies {
            load.run(proxy.address, requests / 4);
        }
        let mut costs = vec![Vec::new(); proxies.len()];
        for round in 0..rounds {
            // Nobody always follows the same one.
            for turn in 0..proxies.len() {
                let index = (turn + round) % proxies.len();
                let before = proxies[index].cpu();
                load.run(proxies[index].address, requests);
                let used = proxies[index].cpu() - before;
                costs[index].push(used as f64 / requests as f64 / 1000.0);
            }
        }
        println!(
            "\n{}: {rounds} rounds of {requests} requests, {} connections",
            load.name,
            load::CONNECTIONS
        );
        println!("| | µs CPU per request, median | to ours, median | least | most |");
        println!("|---|---|---|---|---|");
        for (proxy, cost) in PROXIES.iter().zip(&costs) {
            let ratios: Vec<f64> =
                cost.iter().zip(&costs[0]).map(|(own, ours)| own / ours).collect();
            let (least, middle, most) = spread(ratios);
            let (_, cost, _) = spread(cost.clone());
            println!("| {proxy} | {cost:.1} | {middle:.2} | {least:.2} | {most:.2} |");
        }
    }
}

/// Least, median and most.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[0], values[values.len() / 2], values[values.len() - 1])
}

/// A proxy in a process of its own.
struct Proxy {
    process: Child,
    address: SocketAddr,
}

impl Proxy {
    fn start(name: &str, upstream: SocketAddr) -> Self {
        let own = std::env::current_exe().expect("this program");
        let mut process = Command::new(own)
            .args([name, &upstream.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("an address");
        Self { process, address: line.trim().parse().expect("an address") }
    }

    /// Nanoseconds that its threads have run (`/proc/PID/task/TID/schedstat`).
    fn cpu(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id()));
        let of_task = |task: std::io::Result<std::fs::DirEntry>| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        };
        tasks.expect("it runs").filter_map(of_task).sum()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
