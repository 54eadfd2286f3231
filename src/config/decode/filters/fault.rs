use std::time::Duration;

use front_proxy_layers::fault::{Abort, AbortWith, Delay, DelayFor, FaultSettings};
use front_proxy_layers::route::Fraction;
use http::StatusCode;

use crate::config::decode::fraction::{fraction, of_runtime};
use crate::config::decode::route_match::header_matchers;
use crate::config::message::{Context, Message};
use crate::config::model::Fault;
use crate::config::schema::filters::{FAULT_ABORT, FAULT_DELAY, HEADER_ABORT, HEADER_DELAY};

pub(super) fn fault(m: Message<'_>) -> Option<Fault> {
    let keys = Keys::of(&m);
    let abort = m.get("abort").map(|_| abort(&m, &keys));
    let delay = m.get("delay").map(|_| delay(&m, &keys));
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
            max_active: runtime_u64(m.cx, &keys.max_active).or(max_active),
        },
        upstream_cluster: m.string("upstream_cluster").unwrap_or_default(),
    };
    m.finish();
    Some(out)
}

/// Where the runtime may say something else.
struct Keys {
    delay_percent: String,
    delay_duration: String,
    abort_percent: String,
    abort_status: String,
    abort_grpc_status: String,
    max_active: String,
}

impl Keys {
    fn of(m: &Message<'_>) -> Self {
        let key = |field: &str, default: &str| {
            let own = m.string(field).filter(|key| !key.is_empty());
            own.unwrap_or_else(|| format!("fault.http.{default}"))
        };
        Self {
            delay_percent: key("delay_percent_runtime", "delay.fixed_delay_percent"),
            delay_duration: key("delay_duration_runtime", "delay.fixed_duration_ms"),
            abort_percent: key("abort_percent_runtime", "abort.abort_percent"),
            abort_status: key("abort_http_status_runtime", "abort.http_status"),
            abort_grpc_status: key("abort_grpc_status_runtime", "abort.grpc_status"),
            max_active: key("max_active_faults_runtime", "max_active_faults"),
        }
    }
}

fn runtime_u64(cx: &Context, key: &str) -> Option<u64> {
    cx.runtime_number(key).filter(|value| *value >= 0.0).map(|value| value as u64)
}

/// `None` after an error, as below.
fn delay(m: &Message<'_>, keys: &Keys) -> Option<Option<Delay>> {
    let m = m.message("delay", &FAULT_DELAY)?;
    let percentage = fraction(&m, "percentage").unwrap_or(Fraction::NONE);
    let time = match m.one_of(&["fixed_delay", "header_delay"], true) {
        Some(("fixed_delay", _)) => m.positive_duration("fixed_delay").map(|fixed| {
            let of_runtime = runtime_u64(m.cx, &keys.delay_duration).map(Duration::from_millis);
            DelayFor::Fixed(of_runtime.unwrap_or(fixed))
        }),
        Some(_) => m.message("header_delay", &HEADER_DELAY).map(|nothing| {
            nothing.finish();
            DelayFor::Header
        }),
        None => None,
    };
    let percentage = of_runtime(m.cx, &keys.delay_percent, percentage);
    m.finish();
    Some(Some(Delay { time: time?, percentage }))
}

fn abort(m: &Message<'_>, keys: &Keys) -> Option<Option<Abort>> {
    let m = m.message("abort", &FAULT_ABORT)?;
    let percentage = fraction(&m, "percentage").unwrap_or(Fraction::NONE);
    let status = |number: i64| StatusCode::from_u16(u16::try_from(number).ok()?).ok();
    let with = match m.one_of(&["http_status", "grpc_status", "header_abort"], true) {
        Some(("http_status", _)) => m.integer("http_status", 200..=599).and_then(|number| {
            let of_runtime = runtime_u64(m.cx, &keys.abort_status);
            let of_runtime = of_runtime.and_then(|number| status(i64::try_from(number).ok()?));
            of_runtime.or_else(|| status(number)).map(AbortWith::Status)
        }),
        Some(("grpc_status", _)) => m.u32("grpc_status").map(|number| {
            let of_runtime = runtime_u64(m.cx, &keys.abort_grpc_status);
            let of_runtime = of_runtime.and_then(|number| u32::try_from(number).ok());
            AbortWith::GrpcStatus(of_runtime.unwrap_or(number))
        }),
        Some(_) => m.message("header_abort", &HEADER_ABORT).map(|nothing| {
            nothing.finish();
            AbortWith::Header
        }),
        None => None,
    };
    let percentage = of_runtime(m.cx, &keys.abort_percent, percentage);
    m.finish();
    Some(Some(Abort { with: with?, percentage }))
}
