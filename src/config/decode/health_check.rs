//! Active health checks of a cluster.

use std::ops::Range;

use bytes::Bytes;
use front_proxy_layers::header_edit::{HeaderEditor, Levels};
use front_proxy_layers::health_check::{
    Codec, GrpcProbe, HealthCheck, HttpProbe, Payload, Probe, TcpProbe,
};
use front_proxy_layers::route::HeaderEdits;
use http::Method;

use crate::config::decode::headers::{added, request_edits};
use crate::config::decode::route_match::string_match;
use crate::config::message::{Context, Message, Variants};
use crate::config::model::UpstreamProtocol;
use crate::config::schema::health::{
    GRPC_HEALTH_CHECK, HEALTH_CHECK, HTTP_HEALTH_CHECK, PAYLOAD, TCP_HEALTH_CHECK,
};
use crate::config::schema::route::INT64_RANGE;
use crate::config::yaml::Node;

const CODECS: &Variants<Codec> =
    &[("HTTP1", 0, Some(Codec::Http1)), ("HTTP2", 1, Some(Codec::Http2)), ("HTTP3", 2, None)];

const METHODS: &Variants<&str> = &[
    ("METHOD_UNSPECIFIED", 0, Some("GET")),
    ("GET", 1, Some("GET")),
    ("HEAD", 2, Some("HEAD")),
    ("POST", 3, Some("POST")),
    ("PUT", 4, Some("PUT")),
    ("DELETE", 5, Some("DELETE")),
    ("CONNECT", 6, None),
    ("OPTIONS", 7, Some("OPTIONS")),
    ("TRACE", 8, Some("TRACE")),
    ("PATCH", 9, Some("PATCH")),
];

const PROBES: &[&str] = &["http_health_check", "tcp_health_check", "grpc_health_check"];

/// The check of a cluster that speaks `protocol`, where there is one.
pub(super) fn health_check(
    cluster: &Message<'_>,
    protocol: UpstreamProtocol,
) -> Option<HealthCheck> {
    let mut checks = cluster.messages("health_checks", &HEALTH_CHECK).into_iter();
    let m = checks.next()?;
    if let Some(second) = checks.next() {
        second.error("a cluster can have one health check only");
    }
    let probe = probe(&m, protocol);
    let timeout = m.required_duration("timeout");
    let interval = m.required_duration("interval");
    let unhealthy_threshold = m.required("unhealthy_threshold").and(m.u32("unhealthy_threshold"));
    let healthy_threshold = m.required("healthy_threshold").and(m.u32("healthy_threshold"));
    let jitter = |name| m.duration(name).unwrap_or_default();
    let rest = HealthCheck::new(TcpProbe::default());
    let out = HealthCheck {
        interval_jitter: jitter("interval_jitter"),
        initial_jitter: jitter("initial_jitter"),
        interval_jitter_percent: m.u32("interval_jitter_percent").unwrap_or(0),
        no_traffic_interval: m
            .positive_duration("no_traffic_interval")
            .unwrap_or(rest.no_traffic_interval),
        no_traffic_healthy_interval: m.positive_duration("no_traffic_healthy_interval"),
        unhealthy_interval: m.positive_duration("unhealthy_interval"),
        unhealthy_edge_interval: m.positive_duration("unhealthy_edge_interval"),
        healthy_edge_interval: m.positive_duration("healthy_edge_interval"),
        reuse_connection: m.optional_bool("reuse_connection").unwrap_or(true),
        always_log_failures: m.bool("always_log_health_check_failures"),
        ..rest
    };
    m.finish();
    Some(HealthCheck {
        probe: probe?,
        timeout: timeout?,
        interval: interval?,
        unhealthy_threshold: unhealthy_threshold?,
        healthy_threshold: healthy_threshold?,
        ..out
    })
}

fn probe(m: &Message<'_>, protocol: UpstreamProtocol) -> Option<Probe> {
    let (kind, node) = m.one_of(PROBES, true)?;
    match kind {
        "http_health_check" => http(m.cx, node).map(Into::into),
        "tcp_health_check" => tcp(m.cx, node).map(Into::into),
        _ => {
            if protocol != UpstreamProtocol::Http2 {
                m.cx.error(&node.span, "a cluster that is checked by gRPC must speak HTTP/2");
            }
            grpc(m.cx, node).map(Into::into)
        }
    }
}

fn http(cx: &Context, node: &Node) -> Option<HttpProbe> {
    let m = Message::open(cx, node, &HTTP_HEALTH_CHECK)?;
    let path = m.required_string("path");
    if !path.is_empty() && (!path.starts_with('/') || path.parse::<http::Uri>().is_err()) {
        cx.error(m.place_of("path"), format!("`{path}` is not a path"));
    }
    let host = m.header_text("host");
    if let Some(host) = &host
        && host.parse::<http::uri::Authority>().is_err()
    {
        cx.error(m.place_of("host"), format!("`{host}` is not a host"));
    }
    let method = m.enumeration("method", METHODS).unwrap_or("GET");
    let send = m.get("send").and_then(|node| payload(cx, node)).unwrap_or_default();
    if m.has("send") && matches!(method, "GET" | "HEAD" | "DELETE" | "TRACE") {
        let message = format!("a health check can't send a body with the method {method}");
        cx.error(m.place_of("send"), message);
    }
    let receive = receive(&m);
    let size = m.u32("response_buffer_size").map_or(1024, |size| size as usize);
    if size != 0 && receive.len() > size {
        let message = "what is expected is longer than `response_buffer_size`";
        cx.error(m.place_of("receive"), message);
    }
    let out = HttpProbe {
        host,
        method: method.parse().unwrap_or(Method::GET),
        send,
        receive,
        response_buffer_size: size,
        expected_statuses: statuses(&m, "expected_statuses"),
        retriable_statuses: statuses(&m, "retriable_statuses"),
        codec: m.enumeration("codec_client_type", CODECS).unwrap_or_default(),
        headers: editor(&m, &request_edits(&m)),
        service_name: m.get("service_name_matcher").and_then(|node| string_match(cx, node)),
        ..HttpProbe::get(path)
    };
    m.finish();
    Some(out)
}

fn editor(m: &Message<'_>, edits: &HeaderEdits) -> HeaderEditor {
    let levels = Levels { route: Some(edits), ..Levels::default() };
    HeaderEditor::compile(levels).unwrap_or_else(|why| {
        m.error(why.to_string());
        HeaderEditor::default()
    })
}

fn statuses(m: &Message<'_>, field: &str) -> Vec<Range<u16>> {
    let ranges = m.messages(field, &INT64_RANGE).into_iter();
    ranges
        .filter_map(|range| {
            let start = range.integer("start", 100..=599).and_then(|n| u16::try_from(n).ok());
            let end = range.integer("end", 101..=600).and_then(|n| u16::try_from(n).ok());
            if !range.has("start") || !range.has("end") {
                range.error("a range of statuses needs `start` and `end`");
            } else if let (Some(start), Some(end)) = (start, end)
                && start >= end
            {
                range.error(format!("the range of statuses ends at {end}, before it begins"));
            }
            range.finish();
            Some(start?..end?)
        })
        .collect()
}

fn tcp(cx: &Context, node: &Node) -> Option<TcpProbe> {
    let m = Message::open(cx, node, &TCP_HEALTH_CHECK)?;
    let send = m.get("send").and_then(|node| payload(cx, node)).unwrap_or_default();
    let out = TcpProbe { send, receive: receive(&m) };
    m.finish();
    Some(out)
}

fn grpc(cx: &Context, node: &Node) -> Option<GrpcProbe> {
    let m = Message::open(cx, node, &GRPC_HEALTH_CHECK)?;
    let edits =
        HeaderEdits { request_add: added(&m, "initial_metadata"), ..HeaderEdits::default() };
    let out = GrpcProbe {
        service_name: m.string("service_name").unwrap_or_default(),
        authority: m.header_text("authority"),
        metadata: editor(&m, &edits),
    };
    if let Some(authority) = &out.authority
        && authority.parse::<http::uri::Authority>().is_err()
    {
        cx.error(m.place_of("authority"), format!("`{authority}` is not an authority"));
    }
    m.finish();
    Some(out)
}

fn receive(m: &Message<'_>) -> Payload {
    Payload::new(m.list("receive").into_iter().filter_map(|node| payload(m.cx, node)))
}

/// Bytes, written in hexadecimal.
fn payload(cx: &Context, node: &Node) -> Option<Bytes> {
    let m = Message::open(cx, node, &PAYLOAD)?;
    let text = m.one_of(&["text"], true).and_then(|(_, node)| cx.text(node));
    let bytes = text.and_then(hex);
    if let (Some(text), None) = (text, &bytes) {
        cx.error(m.place_of("text"), format!("`{text}` is not a hexadecimal string"));
    }
    m.finish();
    bytes
}

fn hex(text: &str) -> Option<Bytes> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
