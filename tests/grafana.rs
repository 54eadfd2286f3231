//! The Grafana dashboard in `examples/` asks for metrics and labels that are there: here, and with
//! their binaries named, in a real Envoy and by way of a real Prometheus.
//!
//! ```text
//! ENVOY=/usr/local/bin/envoy PROMETHEUS=prometheus PROMTOOL=promtool \
//!     cargo test --test grafana -- --ignored --nocapture
//! ```

mod process_support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use process_support::bootstrap::{Bootstrap, cluster};
use process_support::{Client, Running, backend, free_ports, wait_for};
use regex::Regex;
use serde_json::Value;

const OURS: &str = env!("CARGO_BIN_EXE_front-proxy");

#[test]
fn every_metric_of_the_dashboard_is_exported() {
    check(OURS, &[]);
}

#[test]
#[ignore = "needs Envoy: name its binary in ENVOY"]
fn envoy_exports_every_metric_of_the_dashboard() {
    let envoy = std::env::var("ENVOY").expect("ENVOY names Envoy's binary");
    check(&envoy, &["--use-dynamic-base-id"]);
}

#[test]
#[ignore = "needs Prometheus: name its binaries in PROMETHEUS and PROMTOOL"]
fn prometheus_scrapes_and_answers_every_query_of_the_dashboard() {
    let binary = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} names a binary"));
    let (prometheus, promtool) = (binary("PROMETHEUS"), binary("PROMTOOL"));
    let proxy = Proxy::start(OURS, &[]);
    // The promise is not to differ from Envoy, and Envoy's names are not what promtool would like.
    let complaints = lint(&promtool, &proxy.page());
    for complaint in &complaints {
        assert!(
            complaint.ends_with(" no help text")
                || complaint.contains(" should ")
                || complaint.contains(" use base unit "),
            "{complaint}"
        );
    }
    println!("promtool reads all of it; {} remarks on names and help", complaints.len());

    let [port] = free_ports();
    let data = tempfile::tempdir().expect("a folder");
    let config = std::fs::read_to_string(example("prometheus.yml")).expect("the example");
    let config = config.replace("127.0.0.1:8001", &format!("127.0.0.1:{}", proxy.admin));
    let config = config.replace("scrape_interval: 5s", "scrape_interval: 1s");
    let file = data.path().join("prometheus.yml");
    std::fs::write(&file, config).expect("written");
    let _prometheus = Running::start(
        &prometheus,
        &[
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", data.path().join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--log.level=error".to_owned(),
        ],
    );
    wait_for(port);
    let query = |expression: &str| -> Vec<Value> {
        let expression = utf8_percent_encode(expression, NON_ALPHANUMERIC);
        let path = format!("/api/v1/query?query={expression}");
        let (status, answer) = Client::local(port).ask(&path, "").expect("an answer");
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        assert!(
            status.starts_with("HTTP/1.1 200") || status.starts_with("HTTP/1.1 503"),
            "{expression}: {status} {answer}"
        );
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    };
    // Rates need two scrapes with something in them.
    for _ in 0..60 {
        proxy.requests();
        thread::sleep(Duration::from_millis(500));
        let scraped = query("count_over_time(envoy_cluster_upstream_rq_time_count[1m])");
        let scrapes = scraped.first().and_then(|first| first["value"][1].as_str()?.parse().ok());
        if scrapes.is_some_and(|scrapes: u32| scrapes >= 3) {
            break;
        }
    }
    assert_eq!(query("up")[0]["value"][1], "1");
    for expression in expressions() {
        assert!(!query(&expression).is_empty(), "nothing for {expression}");
    }
    println!("{} queries answered", expressions().len());
}

/// What promtool says of a page that it can read.
fn lint(promtool: &str, page: &str) -> Vec<String> {
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    child.stdin.take().expect("piped").write_all(page.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // 3: read, with remarks; 1: not readable.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{:?}: {said}", output.status);
    said.lines().map(str::to_owned).collect()
}

/// Every metric with the labels that a query puts to it.
fn check(program: &str, arguments: &[&str]) {
    let page = Proxy::start(program, arguments).page();
    let label = Regex::new(r#"(\w+)="(?:[^"\\]|\\.)*""#).expect("valid");
    let mut exported: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.split_once('{').expect("braces");
        let labels = label.captures_iter(labels).map(|found| found[1].to_owned());
        exported.entry(name).or_default().extend(labels);
    }
    let expressions = expressions();
    assert!(expressions.len() > 40, "{}", expressions.len());
    let selector = Regex::new(r"(envoy_\w+)(?:\{([^}]*)\})?").expect("valid");
    let asked = Regex::new(r"(\w+)(?:=~|!~|!=|=)").expect("valid");
    let by = Regex::new(r"by \(([^)]*)\)").expect("valid");
    for expression in &expressions {
        let groups = by.captures_iter(expression).map(|found| found[1].to_owned());
        let groups = groups.collect::<Vec<_>>().join(", ");
        let bare = by.replace_all(expression, "");
        for found in selector.captures_iter(&bare) {
            let Some(labels) = exported.get(&found[1]) else {
                panic!("`{}` is not exported: {expression}", &found[1]);
            };
            let selected = found.get(2).map_or("", |labels| labels.as_str());
            let selected = asked.captures_iter(selected).map(|found| found[1].to_owned());
            let grouped = groups.split(", ").filter(|name| !name.is_empty()).map(str::to_owned);
            for name in selected.chain(grouped) {
                assert!(labels.contains(&name), "`{}` has no `{name}`: {expression}", &found[1]);
            }
        }
    }
}

/// All queries of the dashboard, with its variables filled in.
fn expressions() -> Vec<String> {
    let text = std::fs::read_to_string(example("dashboard.json")).expect("the example");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let fill = |text: &str| {
        text.replace("$__rate_interval", "1m")
            .replace("$cluster", ".*")
            .replace("$listener_prefix", ".*")
    };
    let queries = targets.map(|target| fill(target["expr"].as_str().expect("a query")));
    let variables = dashboard["templating"]["list"].as_array().expect("variables").iter();
    let variables = variables.filter_map(|variable| {
        let inner = variable["definition"].as_str()?.strip_prefix("label_values(")?;
        let (metric, label) = inner.strip_suffix(')')?.rsplit_once(", ")?;
        Some(format!("sum by ({label}) ({metric})").replace("!=\"admin\"", "!=\"\""))
    });
    queries.chain(variables).collect()
}

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/grafana").join(file)
}

struct Proxy {
    listener: u16,
    admin: u16,
    _process: Running,
    _config: tempfile::NamedTempFile,
}

impl Proxy {
    /// Starts a proxy and sends what makes every kind of stat appear.
    fn start(program: &str, arguments: &[&str]) -> Self {
        let [listener, admin] = free_ports();
        let mut config = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
        config.write_all(bootstrap(listener, admin, backend()).as_bytes()).expect("written");
        let path = config.path().to_str().expect("a path");
        let arguments = [&["-c", path, "--concurrency", "1", "-l", "error"], arguments].concat();
        let process = Running::start(program, &arguments);
        wait_for(listener);
        let proxy = Self { listener, admin, _process: process, _config: config };
        proxy.requests();
        proxy
    }

    fn requests(&self) {
        let mut client = Client::local(self.listener);
        for path in ["/app", "/app/503", "/none"] {
            client.ask(path, "").expect("an answer");
        }
    }

    fn page(&self) -> String {
        Client::local(self.admin).get("/stats/prometheus").expect("a page")
    }
}

fn bootstrap(listener: u16, admin: u16, app: u16) -> String {
    let routes = "              - {match: {prefix: /app}, route: {cluster: app}}";
    let clusters = &cluster("app", "type: STRICT_DNS,", &[app]);
    Bootstrap { admin, listener, routes, clusters, ..Bootstrap::default() }.yaml()
}
