//! Routes that the proxy answers itself: redirects and direct responses.

use bytes::Bytes;
use front_proxy_layers::route::{DirectResponse, Redirect, RedirectPath};
use http::StatusCode;

use crate::config::decode::shared::{data_source, substitution};
use crate::config::message::{Context, Message, Variants};
use crate::config::schema::route::{DIRECT_RESPONSE, REDIRECT};
use crate::config::yaml::Node;

const REDIRECT_CODES: &Variants<StatusCode> = &[
    ("MOVED_PERMANENTLY", 0, Some(StatusCode::MOVED_PERMANENTLY)),
    ("FOUND", 1, Some(StatusCode::FOUND)),
    ("SEE_OTHER", 2, Some(StatusCode::SEE_OTHER)),
    ("TEMPORARY_REDIRECT", 3, Some(StatusCode::TEMPORARY_REDIRECT)),
    ("PERMANENT_REDIRECT", 4, Some(StatusCode::PERMANENT_REDIRECT)),
];

pub(super) fn redirect(cx: &Context, node: &Node) -> Option<Redirect> {
    let m = Message::open(cx, node, &REDIRECT)?;
    let scheme = match m.one_of(&["https_redirect", "scheme_redirect"], false) {
        Some(("https_redirect", _)) => m.bool("https_redirect").then(|| "https".to_owned()),
        Some(_) => m.header_text("scheme_redirect"),
        None => None,
    };
    let path = match m.one_of(&["path_redirect", "prefix_rewrite", "regex_rewrite"], false) {
        Some(("path_redirect", _)) => m.header_text("path_redirect").map(RedirectPath::Full),
        Some(("prefix_rewrite", _)) => m.header_text("prefix_rewrite").map(RedirectPath::Prefix),
        Some(_) => substitution(&m, "regex_rewrite")
            .map(|(pattern, substitution)| RedirectPath::Regex { pattern, substitution }),
        None => None,
    };
    let out = Redirect {
        code: m
            .enumeration("response_code", REDIRECT_CODES)
            .unwrap_or(StatusCode::MOVED_PERMANENTLY),
        scheme,
        host: m.header_text("host_redirect"),
        port: m
            .integer("port_redirect", 0..=65535)
            .and_then(|p| u16::try_from(p).ok())
            .filter(|p| *p > 0),
        path,
        strip_query: m.bool("strip_query"),
    };
    m.finish();
    Some(out)
}

pub(super) fn direct_response(cx: &Context, node: &Node, max_body: u32) -> Option<DirectResponse> {
    let m = Message::open(cx, node, &DIRECT_RESPONSE)?;
    m.required("status");
    let status = m
        .integer("status", 200..=599)
        .and_then(|s| StatusCode::from_u16(u16::try_from(s).ok()?).ok());
    let mut body = Bytes::new();
    if let Some((source, node)) = data_source(&m, "body") {
        let size = source.bytes.len();
        if size as u64 > u64::from(max_body) {
            let message = format!("response body size is {size} bytes; maximum is {max_body}");
            m.cx.report(
                crate::config::diagnostic::Diagnostic::new(&node.span, message)
                    .help("set `max_direct_response_body_size_bytes` of the route table"),
            );
        }
        body = Bytes::copy_from_slice(&source.bytes);
    }
    m.finish();
    Some(DirectResponse { status: status?, body })
}
