use front_proxy_layers::fault::{Abort, AbortWith, Delay, DelayFor, FaultKeys, FaultSettings};
use front_proxy_layers::route::Fraction;
use http::StatusCode;

use crate::config::decode::fraction::fraction;
use crate::config::decode::route_match::header_matchers;
use crate::config::message::Message;
use crate::config::model::Fault;
use crate::config::schema::filters::{FAULT_ABORT, FAULT_DELAY, HEADER_ABORT, HEADER_DELAY};

pub(super) fn fault(m: Message<'_>) -> Option<Fault> {
    let abort = m.get("abort").map(|_| abort(&m));
    let delay = m.get("delay").map(|_| delay(&m));
    let max_active = m.u32("max_active_faults").map(u64::from);
    // How Envoy names the client in stats. There are none by client here.
    m.bool("disable_downstream_cluster_stats");
    let nodes = m.strings("downstream_nodes").into_iter().map(|(node, _)| node.to_owned());
    let out = Fault {
        settings: FaultSettings {
            delay: delay.unwrap_or(Some(None))?,
            abort: abort.unwrap_or(Some(None))?,
            headers: header_matchers(&m, "headers"),
            downstream_nodes: nodes.collect(),
            max_active,
            runtime: Some(keys(&m)),
        },
        upstream_cluster: m.string("upstream_cluster").unwrap_or_default(),
    };
    m.finish();
    Some(out)
}

/// Where the runtime may say something else.
fn keys(m: &Message<'_>) -> FaultKeys {
    let key = |field: &str, default: &str| {
        let own = m.string(field).unwrap_or_else(|| format!("fault.http.{default}"));
        m.cx.runtime.key(&own)
    };
    FaultKeys {
        delay_percent: key("delay_percent_runtime", "delay.fixed_delay_percent"),
        delay_duration: key("delay_duration_runtime", "delay.fixed_duration_ms"),
        abort_percent: key("abort_percent_runtime", "abort.abort_percent"),
        abort_http_status: key("abort_http_status_runtime", "abort.http_status"),
        abort_grpc_status: key("abort_grpc_status_runtime", "abort.grpc_status"),
        max_active_faults: key("max_active_faults_runtime", "max_active_faults"),
    }
}

/// `None` after an error, as below.
fn delay(m: &Message<'_>) -> Option<Option<Delay>> {
    let m = m.message("delay", &FAULT_DELAY)?;
    let percentage = fraction(&m, "percentage").unwrap_or(Fraction::NONE);
    let time = match m.one_of(&["fixed_delay", "header_delay"], true) {
        Some(("fixed_delay", _)) => m.positive_duration("fixed_delay").map(DelayFor::Fixed),
        Some(_) => m.message("header_delay", &HEADER_DELAY).map(|nothing| {
            nothing.finish();
            DelayFor::Header
        }),
        None => None,
    };
    m.finish();
    Some(Some(Delay { time: time?, percentage }))
}

fn abort(m: &Message<'_>) -> Option<Option<Abort>> {
    let m = m.message("abort", &FAULT_ABORT)?;
    let percentage = fraction(&m, "percentage").unwrap_or(Fraction::NONE);
    let status = |number: i64| StatusCode::from_u16(u16::try_from(number).ok()?).ok();
    let with = match m.one_of(&["http_status", "grpc_status", "header_abort"], true) {
        Some(("http_status", _)) => {
            m.integer("http_status", 200..=599).and_then(status).map(AbortWith::Status)
        }
        Some(("grpc_status", _)) => m.u32("grpc_status").map(AbortWith::GrpcStatus),
        Some(_) => m.message("header_abort", &HEADER_ABORT).map(|nothing| {
            nothing.finish();
            AbortWith::Header
        }),
        None => None,
    };
    m.finish();
    Some(Some(Abort { with: with?, percentage }))
}
