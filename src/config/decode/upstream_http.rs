//! The protocol that a cluster speaks: `typed_extension_protocol_options`, or its older fields.

use std::time::Duration;

use crate::config::decode::any::any;
use crate::config::decode::http_options::{max_requests, upstream_http1, upstream_http2};
use crate::config::diagnostic::Diagnostic;
use crate::config::message::Message;
use crate::config::model::{Http1Options, Http2Options, UpstreamProtocol};
use crate::config::schema::cluster::{
    AUTO_HTTP, EXPLICIT_HTTP, UPSTREAM_COMMON_HTTP, UPSTREAM_HTTP,
};
use crate::config::yaml::{Entry, Value};

/// How a cluster speaks HTTP.
#[derive(Debug)]
pub(super) struct UpstreamHttp {
    pub(super) protocol: UpstreamProtocol,
    pub(super) http1: Http1Options,
    pub(super) http2: Http2Options,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_connection_duration: Option<Duration>,
    pub(super) max_stream_duration: Option<Duration>,
    pub(super) max_requests_per_connection: Option<u32>,
}

impl Default for UpstreamHttp {
    fn default() -> Self {
        Self {
            protocol: UpstreamProtocol::default(),
            http1: Http1Options::default(),
            http2: Http2Options::default(),
            idle_timeout: Some(Duration::from_secs(3600)),
            max_connection_duration: None,
            max_stream_duration: None,
            max_requests_per_connection: None,
        }
    }
}

/// The fields of the cluster itself that the extension replaces.
const OLD_FIELDS: [&str; 4] = [
    "common_http_protocol_options",
    "http_protocol_options",
    "http2_protocol_options",
    "max_requests_per_connection",
];

pub(super) fn upstream_http(m: &Message<'_>) -> UpstreamHttp {
    let extension = extension_entry(m);
    let mut out = UpstreamHttp::default();
    if let Some(entry) = extension {
        for old in OLD_FIELDS {
            if let Some(old_entry) = m.entry(old) {
                m.cx.report(
                    Diagnostic::new(
                        &old_entry.place,
                        format!("`{old}` has no effect beside `typed_extension_protocol_options`"),
                    )
                    .help(format!("move it there (line {})", entry.place.line)),
                );
            }
        }
        let what = "protocol options";
        if let Some(found) = any(m.cx, &entry.node, what, &[&UPSTREAM_HTTP]) {
            extension_options(found.message, &mut out);
        }
        return out;
    }
    common(m, &mut out);
    out.http1 = upstream_http1(m, "http_protocol_options");
    out.http2 = upstream_http2(m, "http2_protocol_options");
    if m.has("http2_protocol_options") {
        out.protocol = UpstreamProtocol::Http2;
        if m.has("http_protocol_options") {
            m.error("both `http_protocol_options` and `http2_protocol_options` are given");
        }
    }
    if let Some(max) = max_requests(m) {
        out.max_requests_per_connection = Some(max);
    }
    out
}

/// The one entry of `typed_extension_protocol_options` that there can be.
fn extension_entry<'a>(m: &Message<'a>) -> Option<&'a Entry> {
    let node = m.get("typed_extension_protocol_options")?;
    let Value::Map(entries) = &node.value else {
        let message = format!(
            "`typed_extension_protocol_options` must be a mapping, not {}",
            node.describe()
        );
        m.cx.error(&node.span, message);
        return None;
    };
    let mut found = None;
    for entry in entries {
        if entry.key == UPSTREAM_HTTP.message {
            found = Some(entry);
            continue;
        }
        m.cx.report(
            Diagnostic::new(&entry.place, format!("unknown protocol options `{}`", entry.key))
                .help(format!("supported here: `{}`", UPSTREAM_HTTP.message)),
        );
    }
    found
}

fn extension_options(m: Message<'_>, out: &mut UpstreamHttp) {
    common(&m, out);
    let kinds = ["explicit_http_config", "auto_config"];
    match m.one_of(&kinds, true) {
        Some(("explicit_http_config", _)) => {
            if let Some(explicit) = m.message("explicit_http_config", &EXPLICIT_HTTP) {
                let kinds = ["http_protocol_options", "http2_protocol_options"];
                if let Some(("http2_protocol_options", _)) = explicit.one_of(&kinds, true) {
                    out.protocol = UpstreamProtocol::Http2;
                }
                both(explicit, out);
            }
        }
        Some(_) => {
            out.protocol = UpstreamProtocol::Auto;
            if let Some(auto) = m.message("auto_config", &AUTO_HTTP) {
                both(auto, out);
            }
        }
        None => {}
    }
    m.finish();
}

fn both(m: Message<'_>, out: &mut UpstreamHttp) {
    out.http1 = upstream_http1(&m, "http_protocol_options");
    out.http2 = upstream_http2(&m, "http2_protocol_options");
    m.finish();
}

fn common(m: &Message<'_>, out: &mut UpstreamHttp) {
    let Some(m) = m.message("common_http_protocol_options", &UPSTREAM_COMMON_HTTP) else {
        return;
    };
    out.idle_timeout = m.timeout("idle_timeout", out.idle_timeout);
    out.max_connection_duration = m.timeout("max_connection_duration", None);
    out.max_stream_duration = m.timeout("max_stream_duration", None);
    out.max_requests_per_connection = max_requests(&m);
    m.finish();
}
