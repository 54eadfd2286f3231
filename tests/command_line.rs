//! The command line behaves as Envoy's: exit codes, where it prints, and what.

use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_front-proxy")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn fails(args: &[&str], says: &str) {
    let out = run(args);
    assert_eq!(out.status.code(), Some(1), "{args:?}");
    assert_eq!(text(&out.stdout), "", "{args:?}");
    assert!(text(&out.stderr).contains(says), "{args:?}: {}", text(&out.stderr));
}

const ADMIN: &str = "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}";

#[test]
fn version_and_help_go_to_standard_output() {
    let out = run(&["--version"]);
    assert!(out.status.success());
    let version = text(&out.stdout).strip_prefix("front-proxy  version: ").unwrap();
    let parts: Vec<_> = version.trim_end().split('/').collect();
    assert!(parts[0].bytes().all(|b| b.is_ascii_hexdigit()) && !parts[0].is_empty());
    let profile = if cfg!(debug_assertions) { "DEBUG" } else { "RELEASE" };
    assert_eq!([parts[1], parts[3], parts[4]], [env!("CARGO_PKG_VERSION"), profile, "ring"]);
    assert!(["Clean", "Distribution", "Modified"].contains(&parts[2]), "{version}");
    let out = run(&["--help"]);
    assert!(out.status.success());
    assert!(text(&out.stdout).contains("--config-path"));
    assert_eq!(text(&run(&["--hot-restart-version"]).stdout), "disabled\n");
}

#[test]
fn validate_says_ok() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("good.yaml");
    std::fs::write(&file, ADMIN).unwrap();
    let file = file.to_str().unwrap();
    for flag in ["-c", "--config-path"] {
        let out = run(&[flag, file, "--mode", "validate"]);
        assert_eq!(text(&out.stderr), "");
        assert_eq!(text(&out.stdout), format!("configuration '{file}' OK\n"));
        assert!(out.status.success());
    }
    let json = folder.path().join("good.json");
    std::fs::write(&json, "{\"node\": {\n\t\"id\": \"a\"}}").unwrap();
    assert!(run(&["-c", json.to_str().unwrap(), "--mode", "validate"]).status.success());
    let out = run(&["--config-yaml", ADMIN, "--mode", "validate"]);
    assert_eq!(text(&out.stdout), "configuration '' OK\n");
}

#[test]
fn a_bad_configuration_is_refused_in_both_modes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.yaml");
    std::fs::write(&file, "admin: {}\nsosages: 1\nnodes: 2\n").unwrap();
    let file = file.to_str().unwrap();
    for mode in ["validate", "serve"] {
        let out = run(&["-c", file, "--mode", mode]);
        assert_eq!(out.status.code(), Some(1));
        assert_eq!(text(&out.stdout), "");
        let said = text(&out.stderr);
        assert!(said.contains(&format!("{file}:2:1")) && said.contains(&format!("{file}:3:1")));
        assert!(said.ends_with(&format!("2 errors in the configuration '{file}'\n")), "{said}");
        assert!(!said.contains('\x1b'), "colours are for terminals");
    }
    fails(&["-c", "/no/such/file.yaml"], "/no/such/file.yaml");
    fails(&["-c", folder.path().to_str().unwrap(), "--mode", "validate"], "can't read");
}

#[test]
fn mistakes_in_flags_are_said() {
    let yaml = ["--config-yaml", "{}"];
    for (args, says) in [
        (&["--no-such-flag"][..], "no-such-flag"),
        (&["--mode", "foo"], "unknown mode 'foo'"),
        (&["-l", "foo"], "invalid log level specified 'foo'"),
        (&["--concurrency", "abc"], "concurrency"),
        (&["--concurrency", "-1"], "-1"),
        (&["--component-log-level", "nothing:debug"], "invalid component specified 'nothing'"),
        (&["--component-log-level", "upstream:foo"], "invalid log level specified 'foo'"),
        (&["--drain-strategy", "foo"], "unknown drain-strategy 'foo'"),
        (&["--stats-tag", "a"], "misformatted stats-tag 'a'"),
        (&["--service-cluster"], "service-cluster"),
        (&["--use-dynamic-base-id", "--restart-epoch", "1"], "--restart-epoch=1"),
        (&["extra"], "extra"),
    ] {
        fails(&[&yaml, args].concat(), says);
    }
    fails(&[], "--config-path");
    fails(&["-c", "a", "-c", "b"], "cannot be used multiple times");
}

#[test]
fn every_flag_of_envoy_is_taken() {
    let out = run(&[
        "--config-yaml",
        "{}",
        "--mode",
        "validate",
        "--base-id",
        "1",
        "--use-dynamic-base-id",
        "--base-id-path",
        "x",
        "--skip-hot-restart-on-no-parent",
        "--skip-hot-restart-parent-stats",
        "--concurrency",
        "2",
        "--allow-unknown-fields",
        "--allow-unknown-static-fields",
        "--reject-unknown-dynamic-fields",
        "--ignore-unknown-dynamic-fields",
        "--skip-deprecated-logs",
        "--log-stacktrace-single-entry",
        "--admin-address-path",
        "x",
        "--local-address-ip-version",
        "v6",
        "-l",
        "warn",
        "--component-log-level",
        "upstream:debug,config:trace",
        "--log-format",
        "%v",
        "--log-format-escaped",
        "--log-path",
        "x",
        "--restart-epoch",
        "0",
        "--service-cluster",
        "a",
        "--service-node",
        "b",
        "--service-zone",
        "c",
        "--file-flush-interval-msec",
        "1",
        "--file-flush-min-size-kb",
        "2",
        "--drain-time-s",
        "3",
        "--drain-strategy",
        "immediate",
        "--parent-shutdown-time-s",
        "4",
        "--disable-hot-restart",
        "--enable-mutex-tracing",
        "--cpuset-threads",
        "--disable-extensions",
        "a,b",
        "--socket-path",
        "x",
        "--socket-mode",
        "600",
        "--enable-core-dump",
        "--stats-tag",
        "a:b",
        "--stats-tag",
        "c:d",
    ]);
    assert_eq!(text(&out.stderr), "");
    assert!(out.status.success());
}
