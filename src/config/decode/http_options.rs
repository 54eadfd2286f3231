//! Protocol options that connection managers and clusters share.

use std::time::Duration;

use crate::config::message::{Message, Variants};
use crate::config::model::{ConnectionTimeouts, Http1Options, Http2Options, UnderscoresAction};
use crate::config::schema::http::{
    HEADER_KEY_FORMAT, HTTP1_OPTIONS, HTTP2_OPTIONS, KEEPALIVE, PROPER_CASE_WORDS,
};
use crate::config::yaml::Value;

const UNDERSCORES: &Variants<UnderscoresAction> = &[
    ("ALLOW", 0, Some(UnderscoresAction::Allow)),
    ("REJECT_REQUEST", 1, Some(UnderscoresAction::RejectRequest)),
    ("DROP_HEADER", 2, Some(UnderscoresAction::DropHeader)),
];

/// HTTP/2 window sizes go up to 2^31 - 1 (RFC 9113, 6.9.1); Envoy allows none below the default.
const WINDOW: std::ops::RangeInclusive<i64> = 65_535..=2_147_483_647;

/// `common_http_protocol_options` of a connection manager.
#[derive(Debug)]
pub(super) struct DownstreamCommon {
    pub(super) idle: Option<Duration>,
    pub(super) max_connection_duration: Option<Duration>,
    pub(super) max_stream_duration: Option<Duration>,
    pub(super) max_headers_count: u32,
    pub(super) underscores: UnderscoresAction,
    pub(super) max_requests_per_connection: Option<u32>,
}

impl Default for DownstreamCommon {
    fn default() -> Self {
        Self {
            idle: ConnectionTimeouts::default().idle,
            max_connection_duration: None,
            max_stream_duration: None,
            max_headers_count: 100,
            underscores: UnderscoresAction::default(),
            max_requests_per_connection: None,
        }
    }
}

pub(super) fn downstream_common(m: Message<'_>) -> DownstreamCommon {
    let default = DownstreamCommon::default();
    let out = DownstreamCommon {
        idle: m.timeout("idle_timeout", default.idle),
        max_connection_duration: m.timeout("max_connection_duration", None),
        max_stream_duration: m.timeout("max_stream_duration", None),
        max_headers_count: m
            .u32_in("max_headers_count", 1..=i64::from(u32::MAX))
            .unwrap_or(default.max_headers_count),
        underscores: m
            .enumeration("headers_with_underscores_action", UNDERSCORES)
            .unwrap_or_default(),
        max_requests_per_connection: max_requests(&m),
    };
    m.finish();
    out
}

/// `max_requests_per_connection`; 0 is no limit.
pub(super) fn max_requests(m: &Message<'_>) -> Option<u32> {
    m.u32("max_requests_per_connection").filter(|n| *n > 0)
}

/// HTTP/1 options in a field, and whether a bad message leaves the connection open.
pub(super) fn http1(m: &Message<'_>, field: &str) -> (Http1Options, Option<bool>) {
    let mut out = Http1Options::default();
    let Some(m) = m.message(field, &HTTP1_OPTIONS) else {
        return (out, None);
    };
    out.allow_absolute_url = m.optional_bool("allow_absolute_url").unwrap_or(true);
    out.accept_http_10 = m.bool("accept_http_10");
    out.default_host_for_http_10 = m.header_text("default_host_for_http_10");
    out.enable_trailers = m.bool("enable_trailers");
    out.allow_chunked_length = m.bool("allow_chunked_length");
    out.send_fully_qualified_url = m.bool("send_fully_qualified_url");
    if let Some(format) = m.message("header_key_format", &HEADER_KEY_FORMAT) {
        format.one_of(&["proper_case_words"], true);
        if let Some(words) = format.message("proper_case_words", &PROPER_CASE_WORDS) {
            out.proper_case_words = true;
            words.finish();
        }
        format.finish();
    }
    let keep = m.optional_bool("override_stream_error_on_invalid_http_message");
    m.finish();
    (out, keep)
}

/// HTTP/2 options in a field, and whether a bad message leaves the connection open.
pub(super) fn http2(m: &Message<'_>, field: &str) -> (Http2Options, Option<bool>) {
    let mut out = Http2Options::default();
    let Some(m) = m.message(field, &HTTP2_OPTIONS) else {
        return (out, None);
    };
    if let Some(streams) = m.u32_in("max_concurrent_streams", 1..=2_147_483_647) {
        out.max_concurrent_streams = streams;
    }
    if let Some(size) = m.u32_in("initial_stream_window_size", WINDOW) {
        out.initial_stream_window_size = size;
    }
    if let Some(size) = m.u32_in("initial_connection_window_size", WINDOW) {
        out.initial_connection_window_size = size;
    }
    out.allow_connect = m.bool("allow_connect");
    if let Some(keepalive) = m.message("connection_keepalive", &KEEPALIVE) {
        let interval = keepalive.duration_from_1ms("interval");
        keepalive.required("timeout");
        let timeout = keepalive.duration_from_1ms("timeout");
        // Without an interval, Envoy pings only after idle time, which isn't supported.
        if !keepalive.has("interval") {
            keepalive.missing("interval");
        }
        out.keepalive = interval.zip(timeout);
        keepalive.finish();
    }
    let keep = m.optional_bool("override_stream_error_on_invalid_http_message");
    m.finish();
    (out, keep)
}

/// The options of a cluster. What would change nothing there is refused, but for what changes
/// nothing in Envoy either: what a server takes.
pub(super) fn upstream_http1(m: &Message<'_>, field: &str) -> Http1Options {
    let (out, keep) = http1(m, field);
    refuse(m, field, BAD_MESSAGES, keep.is_some());
    refuse(m, field, "allow_chunked_length", out.allow_chunked_length);
    out
}

/// The options of a cluster. `allow_connect` changes nothing there, as in Envoy: a protocol is switched
/// where the listener or the route says so.
pub(super) fn upstream_http2(m: &Message<'_>, field: &str) -> Http2Options {
    let (out, keep) = http2(m, field);
    refuse(m, field, BAD_MESSAGES, keep.is_some());
    out
}

const BAD_MESSAGES: &str = "override_stream_error_on_invalid_http_message";

fn refuse(m: &Message<'_>, field: &str, option: &str, given: bool) {
    if given && let Some(entry) = m.entry(field) {
        let place = match &entry.node.value {
            Value::Map(options) => options.iter().find(|one| one.key == option),
            _ => None,
        };
        let place = place.map_or(&entry.place, |option| &option.place);
        m.cx.error(place, format!("`{option}` is not supported yet for clusters"));
    }
}
