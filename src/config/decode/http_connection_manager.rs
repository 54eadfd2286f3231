//! The HTTP connection manager.

use std::net::IpAddr;

use crate::config::decode::access_log::access_logs;
use crate::config::decode::filters::http_filters;
use crate::config::decode::http_options::{DownstreamCommon, downstream_common, http1, http2};
use crate::config::decode::route_table::route_table;
use crate::config::deprecated::Looks;
use crate::config::diagnostic::Diagnostic;
use crate::config::message::{Message, Variants};
use crate::config::model::{
    Codec, ConnectionTimeouts, EscapedSlashes, ForwardClientCert, HttpConnectionManager,
    ServerHeader, StripHostPort,
};
use crate::config::schema::http::{
    CIDR_RANGE, DOWNSTREAM_COMMON_HTTP, HCM_UPGRADE_CONFIG, INTERNAL_ADDRESS_CONFIG,
};

use front_proxy_layers::route::UpgradeRule;

const CODECS: &Variants<Codec> = &[
    ("AUTO", 0, Some(Codec::Auto)),
    ("HTTP1", 1, Some(Codec::Http1)),
    ("HTTP2", 2, Some(Codec::Http2)),
    ("HTTP3", 3, None),
];

const SERVER_HEADERS: &Variants<ServerHeader> = &[
    ("OVERWRITE", 0, Some(ServerHeader::Overwrite)),
    ("APPEND_IF_ABSENT", 1, Some(ServerHeader::AppendIfAbsent)),
    ("PASS_THROUGH", 2, Some(ServerHeader::PassThrough)),
];

const CLIENT_CERTS: &Variants<ForwardClientCert> = &[
    ("SANITIZE", 0, Some(ForwardClientCert::Sanitize)),
    ("FORWARD_ONLY", 1, Some(ForwardClientCert::ForwardOnly)),
    ("APPEND_FORWARD", 2, Some(ForwardClientCert::AppendForward)),
    ("SANITIZE_SET", 3, Some(ForwardClientCert::SanitizeSet)),
    ("ALWAYS_FORWARD_ONLY", 4, Some(ForwardClientCert::AlwaysForwardOnly)),
];

const ESCAPED_SLASHES: &Variants<EscapedSlashes> = &[
    ("IMPLEMENTATION_SPECIFIC_DEFAULT", 0, Some(EscapedSlashes::KeepUnchanged)),
    ("KEEP_UNCHANGED", 1, Some(EscapedSlashes::KeepUnchanged)),
    ("REJECT_REQUEST", 2, Some(EscapedSlashes::RejectRequest)),
    ("UNESCAPE_AND_REDIRECT", 3, Some(EscapedSlashes::UnescapeAndRedirect)),
    ("UNESCAPE_AND_FORWARD", 4, Some(EscapedSlashes::UnescapeAndForward)),
];

pub(super) fn http_connection_manager(m: Message<'_>) -> HttpConnectionManager {
    let stat_prefix = m.required_string("stat_prefix");
    let filters = http_filters(&m);
    let routes = m.one_of(&["route_config"], true);
    let routes = routes
        .and_then(|(_, node)| m.cx.looked_at(Looks::Twice, || route_table(m.cx, node, &filters)));
    let common = m
        .message("common_http_protocol_options", &DOWNSTREAM_COMMON_HTTP)
        .map(downstream_common)
        .unwrap_or_default();
    let keep_connection = m.bool("stream_error_on_invalid_http_message");
    let (http1, keep_http1) = http1(&m, "http_protocol_options");
    let (mut http2, keep_http2) = http2(&m, "http2_protocol_options");
    http2.keep_connection_on_bad_message = keep_http2.unwrap_or(keep_connection);
    let timeouts = timeouts(&m, &common);
    let out = HttpConnectionManager {
        stat_prefix,
        codec: m.enumeration("codec_type", CODECS).unwrap_or_default(),
        routes: routes.unwrap_or_default(),
        has_router: filters.has_router,
        suppress_envoy_headers: filters.suppress_envoy_headers,
        http_filters: filters.filters,
        server_name: m.header_text("server_name").unwrap_or_else(|| "envoy".to_owned()),
        server_header: m
            .enumeration("server_header_transformation", SERVER_HEADERS)
            .unwrap_or_default(),
        via: m.header_text("via"),
        use_remote_address: m.bool("use_remote_address"),
        xff_num_trusted_hops: m.u32("xff_num_trusted_hops").unwrap_or(0),
        skip_xff_append: m.bool("skip_xff_append"),
        internal_addresses: internal_addresses(&m),
        ipv4_as_mapped_ipv6: m.bool("represent_ipv4_remote_address_as_ipv4_mapped_ipv6"),
        generate_request_id: m.optional_bool("generate_request_id").unwrap_or(true),
        preserve_external_request_id: m.bool("preserve_external_request_id"),
        always_set_request_id_in_response: m.bool("always_set_request_id_in_response"),
        add_user_agent: m.bool("add_user_agent"),
        forward_client_cert: m
            .enumeration("forward_client_cert_details", CLIENT_CERTS)
            .unwrap_or_default(),
        normalize_path: m.bool("normalize_path"),
        merge_slashes: m.bool("merge_slashes"),
        escaped_slashes: m
            .enumeration("path_with_escaped_slashes_action", ESCAPED_SLASHES)
            .unwrap_or_default(),
        strip_host_port: strip_host_port(&m),
        strip_trailing_host_dot: m.bool("strip_trailing_host_dot"),
        proxy_100_continue: m.bool("proxy_100_continue"),
        upgrades: upgrades(&m),
        max_request_headers_kb: m.u32_in("max_request_headers_kb", 1..=8192).unwrap_or(60),
        max_headers_count: common.max_headers_count,
        underscores: common.underscores,
        keep_connection_on_bad_message: keep_http1.unwrap_or(keep_connection),
        http1,
        http2,
        timeouts,
        max_requests_per_connection: common.max_requests_per_connection,
        access_logs: access_logs(&m),
    };
    m.finish();
    out
}

fn timeouts(m: &Message<'_>, common: &DownstreamCommon) -> ConnectionTimeouts {
    let default = ConnectionTimeouts::default();
    ConnectionTimeouts {
        idle: common.idle,
        max_connection_duration: common.max_connection_duration,
        max_stream_duration: common.max_stream_duration,
        stream_idle: m.timeout("stream_idle_timeout", default.stream_idle),
        request: m.timeout("request_timeout", None),
        request_headers: m.timeout("request_headers_timeout", None),
        drain: m.duration("drain_timeout").unwrap_or(default.drain),
        delayed_close: m.timeout("delayed_close_timeout", default.delayed_close),
    }
}

fn strip_host_port(m: &Message<'_>) -> StripHostPort {
    let matching = m.bool("strip_matching_host_port");
    let any = m.bool("strip_any_host_port");
    if matching && any {
        let place = m.entry("strip_any_host_port").map_or(m.span(), |e| &e.place);
        m.cx.error(
            place,
            "only one of `strip_matching_host_port` and `strip_any_host_port` can be set",
        );
    }
    match (matching, any) {
        (_, true) => StripHostPort::Any,
        (true, _) => StripHostPort::Matching,
        _ => StripHostPort::Never,
    }
}

fn internal_addresses(m: &Message<'_>) -> Vec<(IpAddr, u8)> {
    let Some(config) = m.message("internal_address_config", &INTERNAL_ADDRESS_CONFIG) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for range in config.messages("cidr_ranges", &CIDR_RANGE) {
        let prefix = range.required_string("address_prefix");
        let length = range.u32_in("prefix_len", 0..=128).unwrap_or(0);
        match prefix.parse::<IpAddr>() {
            // As in Envoy, a length past the end of an IPv4 address is its end.
            Ok(ip) => out.push((ip, length.min(if ip.is_ipv4() { 32 } else { 128 }) as u8)),
            Err(_) if prefix.is_empty() => {}
            Err(_) => {
                let place = range.place_of("address_prefix");
                let message = format!("invalid ip/mask combo '{prefix}/{length}'");
                range.cx.report(
                    Diagnostic::new(place, message)
                        .help("`address_prefix` is an IP address such as 10.0.0.0"),
                );
            }
        }
        range.finish();
    }
    config.finish();
    out
}

fn upgrades(m: &Message<'_>) -> Vec<UpgradeRule> {
    let mut out: Vec<UpgradeRule> = Vec::new();
    for upgrade in m.messages("upgrade_configs", &HCM_UPGRADE_CONFIG) {
        let upgrade_type = upgrade.required_string("upgrade_type");
        if out.iter().any(|u| u.upgrade_type.eq_ignore_ascii_case(&upgrade_type)) {
            upgrade.error(format!("multiple upgrade configs with the same name: `{upgrade_type}`"));
        }
        out.push(UpgradeRule {
            upgrade_type,
            enabled: upgrade.optional_bool("enabled").unwrap_or(true),
            connect_tcp: false,
        });
        upgrade.finish();
    }
    out
}
