//! What the sandbox prints: what runs where, and what to try.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use super::{InstanceInfo, Options};

/// The text that greets whoever starts a sandbox.
pub(super) fn text(options: &Options, all: &[InstanceInfo]) -> String {
    let host = host(options.address);
    let Options { http_port: http, https_port: https, admin_port: admin, .. } = options;
    let control = if options.control_port == Options::CONTROL_PORT {
        String::new()
    } else {
        format!(" --control-port {}", options.control_port)
    };
    let instances = instances(all);
    let commands = [
        (format!("curl -v {host}:{http}/service/1"), "the front proxy picks service1 by the path"),
        (format!("curl -v {host}:{http}/service/2"), "and service2"),
        (format!("curl -kv https://{host}:{https}/service/1"), "the same over TLS"),
        (format!("front-proxy sandbox scale service1=3{control}"), "from a second terminal; then"),
        (format!("curl {host}:{http}/service/1"), "several times: see who answers"),
        (
            format!("curl -s {host}:{admin}/stats | grep service1"),
            "membership_change, upstream_cx_http2_total ...",
        ),
        (format!("curl {host}:{admin}/clusters"), "who the members are"),
        (format!("curl {host}:{admin}/server_info"), "the proxy itself"),
    ];
    let width = commands.iter().map(|(command, _)| command.len()).max();
    let width = width.unwrap_or_default();
    let mut out = format!(
        "The sandbox is running. Ctrl-C ends it.\n\n\
         front proxy: http://{host}:{http}  https://{host}:{https}  admin http://{host}:{admin}\n\
         {instances}\n\
         Try:\n"
    );
    for (command, why) in commands {
        // Writing to a string can't fail.
        _ = writeln!(out, "  {command:width$}  # {why}");
    }
    out
}

/// A line for each instance.
pub(super) fn instances(instances: &[InstanceInfo]) -> String {
    let mut out = String::new();
    for instance in instances {
        let InstanceInfo { service, hostname, sidecar, admin, app } = instance;
        _ = writeln!(
            out,
            "{service}: {hostname}  sidecar {sidecar}  its admin http://{admin}  app {app}"
        );
    }
    if out.is_empty() {
        out.push_str("no instances\n");
    }
    out
}

fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(Ipv4Addr::LOCALHOST | Ipv4Addr::UNSPECIFIED) => "localhost".to_owned(),
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}
