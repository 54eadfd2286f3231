//! The README's commands are run, and what they print has the shape that the README shows.
//!
//! Blocks marked `console` hold commands after `$ ` and what they print; a line `...` stands for any
//! lines. The sandbox runs on free ports, so ports are put in on the way in and taken out on
//! the way out, with whatever else differs from run to run. The same container name in two places
//! must be the same here: who answers, and in which order, is compared.

#![cfg(target_os = "linux")] // the sandbox's addresses, and sh with curl

mod process_support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use regex::Regex;

use self::process_support::Running;

const README: &str = include_str!("../README.md");
const RUN: &str = "cargo run --release --";
const SANDBOX: &str = "cargo run --release -- sandbox";

#[test]
fn what_the_readme_shows_is_what_happens() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("curl is not installed: tests/sandbox.rs walks the same way without it");
        return;
    }
    let steps = steps(README);
    assert!(steps.len() > 8, "the README has lost its commands");
    let ports = Ports::free();
    let mut names = Names::default();
    let mut shown_names = Names::default();
    let mut sandbox = None;
    for step in &steps {
        let wanted = shape(&step.shows, &mut shown_names);
        if step.command == SANDBOX {
            let (running, printed) = start_sandbox(&ports);
            sandbox = Some(running);
            compare(step, &wanted, &shape(&printed, &mut names));
            continue;
        }
        let command = ports.put_into(&step.command);
        // Discovery takes its second, and the page can be asked again. Balanced answers can't.
        let patience = if command.contains(&ports.admin) { Duration::from_secs(30) } else { NONE };
        let began = Instant::now();
        loop {
            let printed = shape(&run(&command), &mut names);
            if matches(&wanted, &printed) || began.elapsed() > patience {
                compare(step, &wanted, &printed);
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    assert!(sandbox.is_some(), "the README no longer starts a sandbox");
}

#[test]
fn the_start_is_the_sandbox_and_then_the_tests() {
    let commands: Vec<_> =
        README.split("```sh\n").skip(1).filter_map(|block| block.lines().next()).take(2).collect();
    assert_eq!(commands, [SANDBOX, "cargo test --workspace --all-features"]);
}

const NONE: Duration = Duration::ZERO;

struct Step {
    command: String,
    shows: String,
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        for line in block.lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => {
                    steps.push(Step { command: command.to_owned(), shows: String::new() });
                }
                (None, Some(step)) => {
                    step.shows.push_str(line);
                    step.shows.push('\n');
                }
                (None, None) => panic!("a block that does not begin with a command: {line}"),
            }
        }
    }
    steps
}

/// What the command prints, on both of its streams: errors go to the second.
fn run(command: &str) -> String {
    let output = Command::new("sh").arg("-c").arg(command).output().expect("sh");
    let both = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&both).replace('\r', "")
}

fn compare(step: &Step, wanted: &[String], printed: &[String]) {
    let command = &step.command;
    assert!(matches(wanted, printed), "$ {command}\nwanted {wanted:#?}\nprinted {printed:#?}");
}

/// Whether the lines are those wanted, where `...` is any number of lines.
fn matches(wanted: &[String], printed: &[String]) -> bool {
    match wanted.split_first() {
        None => printed.is_empty(),
        Some((any, rest)) if any == "..." => {
            (0..=printed.len()).any(|skip| matches(rest, &printed[skip..]))
        }
        Some((line, rest)) => printed
            .split_first()
            .is_some_and(|(first, others)| first == line && matches(rest, others)),
    }
}

/// Container names by the order in which they were first seen.
#[derive(Default)]
struct Names(HashMap<String, usize>);

fn shape(text: &str, names: &mut Names) -> Vec<String> {
    let replacements = [
        (r"\b[0-9a-f]{40}\b", "REVISION"),
        (r"/(DEBUG|RELEASE)/", "/BUILD/"),
        (r"(localhost|\d+\.\d+\.\d+\.\d+):\d+", "$1:PORT"),
        (r"^date: .*", "date: DATE"),
        (r"^(x-envoy-upstream-service-time:) \d+", "$1 MS"),
        (r#""\d+s""#, "\"SECONDS\""),
    ];
    let replacements = replacements.map(|(regex, to)| (Regex::new(regex).expect("a regex"), to));
    let container = Regex::new(r"\b[0-9a-f]{12}\b").expect("a regex");
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut line = line.trim_end().to_owned();
        for (regex, to) in &replacements {
            line = regex.replace_all(&line, *to).into_owned();
        }
        let line = container.replace_all(&line, |found: &regex::Captures<'_>| {
            let next = names.0.len();
            format!("CONTAINER{}", names.0.entry(found[0].to_owned()).or_insert(next))
        });
        lines.push(line.into_owned());
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

struct Ports {
    http: String,
    https: String,
    admin: String,
    control: String,
    service: String,
}

impl Ports {
    fn free() -> Self {
        let [http, https, admin, control, service] =
            process_support::free_ports().map(|port| port.to_string());
        Self { http, https, admin, control, service }
    }

    fn put_into(&self, command: &str) -> String {
        let scale = format!("{RUN} sandbox scale");
        command
            .replace(&scale, &format!("{scale} --control-port {}", self.control))
            .replace(RUN, env!("CARGO_BIN_EXE_front-proxy"))
            .replace("localhost:8080", &format!("localhost:{}", self.http))
            .replace("localhost:8443", &format!("localhost:{}", self.https))
            .replace("localhost:8001", &format!("localhost:{}", self.admin))
    }
}

/// A sandbox that ends with the test, and what it has printed when it runs.
fn start_sandbox(ports: &Ports) -> (Running, String) {
    let mut process = Running::spawn(
        Command::new(env!("CARGO_BIN_EXE_front-proxy"))
            .args(["sandbox", "--http-port", &ports.http, "--https-port", &ports.https])
            .args(["--admin-port", &ports.admin, "--control-port", &ports.control])
            .args(["--service-port", &ports.service])
            .stdout(Stdio::piped()),
    );
    let stdout = process.stdout();
    let (lines, printed) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    let mut text = String::new();
    loop {
        let line = printed.recv_timeout(Duration::from_secs(60)).expect("a sandbox that runs");
        text.push_str(&line);
        text.push('\n');
        // The last that it suggests to try.
        if line.contains("/server_info") {
            return (process, text);
        }
    }
}
