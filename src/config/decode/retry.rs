//! Retry policies.

use std::time::Duration;

use front_proxy_layers::route::{RetryOn, RetryPolicy};
use http::StatusCode;

use crate::config::decode::any::typed_config;
use crate::config::decode::route_match::header_matchers;
use crate::config::diagnostic::Diagnostic;
use crate::config::message::{Context, Message};
use crate::config::schema::route::{
    PREVIOUS_HOSTS, RETRY_BACK_OFF, RETRY_HOST_PREDICATE, RETRY_POLICY,
};
use crate::config::source::Span;
use crate::config::suggest::nearest;

pub(super) type Retry = RetryPolicy;

/// A retry policy in a field, where given.
pub(super) fn retry(m: &Message<'_>, field: &str) -> Option<Retry> {
    let m = m.message(field, &RETRY_POLICY)?;
    let (base_interval, max_interval) = back_off(&m);
    let out = RetryPolicy {
        on: conditions(&m),
        num_retries: m.u32("num_retries").unwrap_or(1),
        per_try_timeout: m.timeout("per_try_timeout", None),
        per_try_idle_timeout: m.timeout("per_try_idle_timeout", None),
        status_codes: status_codes(&m),
        response_headers: header_matchers(&m, "retriable_headers"),
        request_headers: header_matchers(&m, "retriable_request_headers"),
        base_interval,
        max_interval,
        avoid_previous_hosts: previous_hosts(&m),
        host_selection_attempts: m
            .u32_in("host_selection_retry_max_attempts", 0..=i64::from(u32::MAX))
            // 0 is "not set" here, and not set is 1.
            .filter(|n| *n > 0)
            .unwrap_or(1),
    };
    m.finish();
    Some(out)
}

fn back_off(m: &Message<'_>) -> (Option<Duration>, Option<Duration>) {
    let Some(m) = m.message("retry_back_off", &RETRY_BACK_OFF) else {
        return (None, None);
    };
    m.required("base_interval");
    let base = m.positive_duration("base_interval");
    let max = m.positive_duration("max_interval");
    if let (Some(base), Some(max)) = (base, max)
        && max < base
    {
        let place = m.place_of("max_interval");
        m.cx.error(place, "`max_interval` must be greater than or equal to `base_interval`");
    }
    m.finish();
    (base, max)
}

fn status_codes(m: &Message<'_>) -> Vec<StatusCode> {
    m.list("retriable_status_codes")
        .into_iter()
        .filter_map(|n| m.cx.integer("retriable_status_codes", n, 100..=999))
        .filter_map(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok())
        .collect()
}

fn previous_hosts(m: &Message<'_>) -> bool {
    let mut found = false;
    for predicate in m.messages("retry_host_predicate", &RETRY_HOST_PREDICATE) {
        if let Some(any) = typed_config(&predicate, "a retry host predicate", &[&PREVIOUS_HOSTS]) {
            any.message.finish();
            found = true;
        }
        predicate.finish();
    }
    found
}

fn conditions(m: &Message<'_>) -> RetryOn {
    let mut on = RetryOn::default();
    let (Some(text), Some(node)) = (m.string("retry_on"), m.get("retry_on")) else {
        return on;
    };
    let mut offset = 0;
    for part in text.split(',') {
        let name = part.trim();
        if !name.is_empty() {
            let blanks = part.chars().take_while(|c| c.is_whitespace()).count();
            let place = node.within(offset + blanks, name.chars().count());
            condition(m.cx, &mut on, name, &place);
        }
        offset += part.chars().count() + 1;
    }
    on
}

/// Envoy leaves out what it doesn't know; a typo would then silently retry nothing.
fn condition(cx: &Context, on: &mut RetryOn, name: &str, place: &Span) {
    if on.add(name) || on.add_grpc(name) {
        return;
    }
    if name == "http3-post-connect-failure" {
        cx.error(place, format!("the retry condition `{name}` is not supported yet"));
        return;
    }
    let names = [&RetryOn::CONDITIONS[..], &RetryOn::GRPC_CONDITIONS].concat();
    let message = format!("unknown retry condition `{name}`");
    let help = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it can be {}", crate::config::message::list(&names)),
    };
    cx.report(Diagnostic::new(place, message).help(help));
}
