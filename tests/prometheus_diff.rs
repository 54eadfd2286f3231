//! `/stats/prometheus` beside that of a real Envoy, after the same requests: the order of lines,
//! names, labels, types, and values but for those that differ from one run to the next.
//!
//! ```text
//! ENVOY=/usr/local/bin/envoy cargo test --test prometheus_diff -- --ignored --nocapture
//! ```

mod process_support;

use std::collections::BTreeMap;
use std::io::Write;
use std::thread;
use std::time::Duration;

use process_support::bootstrap::{Bootstrap, cluster};
use process_support::{Client, Running, backend, free_ports, wait_for};

const REQUESTS: usize = 1_000;

/// Values that differ, and why. A name stands for all that begin with it.
const DIFFERENT: &[(&str, &str)] = &[
    ("envoy_server_memory_", "another program in memory"),
    ("envoy_server_version{", "the commit that it was built from"),
    ("envoy_server_uptime{", "a moment"),
    ("envoy_server_stats_recent_lookups{", "how the program is written"),
    ("envoy_server_initialization_time_ms_", "a span of time"),
    // 0 or more digits of `x-envoy-upstream-service-time`.
    ("envoy_http_downstream_cx_tx_bytes_total{", "a span of time in a header"),
    ("envoy_http_downstream_cx_length_ms_", "a span of time"),
    ("envoy_listener_downstream_cx_length_ms_", "a span of time"),
    ("envoy_listener_admin_downstream_cx_length_ms_", "a span of time"),
    ("envoy_http_downstream_rq_time_", "a span of time"),
    ("envoy_cluster_upstream_rq_time_", "a span of time"),
    ("envoy_cluster_external_upstream_rq_time_", "a span of time"),
    ("envoy_cluster_upstream_cx_connect_ms_", "a span of time"),
    ("envoy_listener_connections_accepted_per_socket_event_", "how connections happen to come"),
    // Ours is counted when its head is sent, and the values are read while it is written.
    (
        "envoy_http_downstream_rq_xx{envoy_response_code_class=\"2\",envoy_http_conn_manager_prefix=\"admin\"",
        "the scrape",
    ),
    ("envoy_http_downstream_rq_completed{envoy_http_conn_manager_prefix=\"admin\"", "the scrape"),
    ("envoy_listener_admin_http_downstream_rq_", "the scrape"),
    // docs/envoy-compatibility.md: what lies in the buffers of the HTTP library is not told.
    ("envoy_cluster_upstream_cx_rx_bytes_buffered{", "not told"),
    ("envoy_http_downstream_cx_rx_bytes_buffered{", "not told"),
];

#[test]
#[ignore = "needs Envoy: name its binary in ENVOY"]
fn after_the_same_requests_the_same_is_exported() {
    let envoy = std::env::var("ENVOY").expect("ENVOY names Envoy's binary");
    let theirs = exported(&envoy, &["--use-dynamic-base-id", "-l", "error"]);
    let ours = exported(env!("CARGO_BIN_EXE_front-proxy"), &["-l", "error"]);
    let (their_values, our_values) = (values(&theirs), values(&ours));
    println!("{} lines of Envoy's, {} of ours", theirs.len(), ours.len());
    let mut wrong = 0;
    for line in their_values.keys().filter(|line| !our_values.contains_key(*line)) {
        println!("- {line}");
        wrong += 1;
    }
    for line in our_values.keys().filter(|line| !their_values.contains_key(*line)) {
        println!("+ {line}");
        wrong += 1;
    }
    for (line, value) in &their_values {
        let Some(ours) = our_values.get(line).filter(|ours| *ours != value) else { continue };
        let excuse = DIFFERENT.iter().find(|(name, _)| line.starts_with(name));
        // What has a duration differs in its buckets, never in how often it was measured.
        let counted = line.contains("_count{") && !line.contains("connections_accepted");
        match excuse.filter(|_| !counted) {
            Some((_, why)) => println!("  {line} {value} | {ours} ({why})"),
            None => {
                println!("! {line} {value} | {ours}");
                wrong += 1;
            }
        }
    }
    assert_eq!(wrong, 0, "lines that should be equal");
    let order =
        |lines: &[String]| lines.iter().map(|line| name(line).to_owned()).collect::<Vec<_>>();
    assert!(order(&theirs) == order(&ours), "the same lines in another order");
}

/// The `# TYPE` lines, and the samples with their values.
fn values(lines: &[String]) -> BTreeMap<&str, &str> {
    let parts = lines.iter().map(|line| (name(line), line[name(line).len()..].trim()));
    parts.collect()
}

/// A line without its value.
fn name(line: &str) -> &str {
    match line.rsplit_once(' ') {
        Some((sample, _)) if !line.starts_with('#') => sample,
        _ => line,
    }
}

fn exported(program: &str, arguments: &[&str]) -> Vec<String> {
    let [listener, admin, dead] = free_ports();
    let mut config = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    let bootstrap = bootstrap(listener, admin, backend(), dead);
    config.write_all(bootstrap.as_bytes()).expect("written");
    let path = config.path().to_str().expect("a path");
    let arguments = [&["-c", path, "--concurrency", "1"], arguments].concat();
    let _proxy = Running::start(program, &arguments);
    wait_for(listener);
    let mut client = Client::local(listener);
    for number in 0..REQUESTS {
        let path = ["/app", "/app/503", "/none", "/dead", "/direct"][number % 5];
        client.ask(path, "").expect("an answer");
    }
    drop(client);
    // Gauges and histograms settle with the connection's end and the workers' next merge.
    thread::sleep(Duration::from_millis(5_500));
    let page = Client::local(admin).get("/stats/prometheus").expect("a page");
    let page = page.replace(&format!("_{listener}\""), "_PORT\"");
    page.lines().map(str::to_owned).collect()
}

fn bootstrap(listener: u16, admin: u16, app: u16, dead: u16) -> String {
    let [app, dead] = [("app", app), ("dead", dead)]
        .map(|(name, port)| cluster(name, "connect_timeout: 1s,", &[port]));
    let routes = r"
              - match: {prefix: /direct}
                direct_response: {status: 200, body: {inline_string: d}}
              - match: {prefix: /dead}
                route: {cluster: dead}
              - match: {prefix: /app}
                route: {cluster: app}";
    let clusters = &format!("{app}{dead}");
    let parts = Bootstrap { admin, listener, routes, clusters, ..Bootstrap::default() };
    parts.yaml() + "layered_runtime: {layers: [{name: base, static_layer: {some.key: 1}}]}\n"
}
