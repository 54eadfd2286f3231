//! What many messages hold: addresses, data from files, regular expressions.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use front_proxy_layers::route::{Pattern, Substitution};

use crate::config::diagnostic::Diagnostic;
use crate::config::files;
use crate::config::message::{Context, Message, Variants};
use crate::config::model::DataSource;
use crate::config::re2;
use crate::config::schema::bootstrap::{ADDRESS, DATA_SOURCE, SOCKET_ADDRESS};
use crate::config::schema::route::{GOOGLE_RE2, REGEX_MATCHER, REGEX_SUBSTITUTE};
use crate::config::source::Span;
use crate::config::yaml::Node;

const PROTOCOLS: &Variants<()> = &[("TCP", 0, Some(())), ("UDP", 1, None)];
const DATAGRAMS: &Variants<()> = &[("TCP", 0, Some(())), ("UDP", 1, Some(()))];

/// The host and port of an address, and where the host stands.
pub(super) struct HostPort<'a> {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) place: &'a Span,
}

impl HostPort<'_> {
    /// The address, where the host is an IP address.
    pub(super) fn ip(&self) -> Option<SocketAddr> {
        let ip: IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(ip, self.port))
    }
}

/// `address`: a host and a port.
pub(super) fn host_port<'a>(m: &Message<'a>, field: &str) -> Option<HostPort<'a>> {
    let node = m.required(field)?;
    host_port_of(m.cx, node)
}

/// An `Address`.
pub(super) fn host_port_of<'a>(cx: &'a Context, node: &'a Node) -> Option<HostPort<'a>> {
    host_port_by(cx, node, PROTOCOLS)
}

/// An IP address that datagrams are sent to; its `protocol` says nothing, as in Envoy.
pub(super) fn datagram_address(m: &Message<'_>, field: &str) -> Option<SocketAddr> {
    let node = m.required(field)?;
    let address = host_port_by(m.cx, node, DATAGRAMS)?;
    ip_or_report(m.cx, &address)
}

fn host_port_by<'a>(
    cx: &'a Context,
    node: &'a Node,
    protocols: &'static Variants<()>,
) -> Option<HostPort<'a>> {
    let m = Message::open(cx, node, &ADDRESS)?;
    let socket = m.one_of(&["socket_address"], true);
    m.finish();
    let s = Message::open(cx, socket?.1, &SOCKET_ADDRESS)?;
    s.enumeration("protocol", protocols);
    let host = s.required_string("address");
    let place = s.place_of("address");
    s.required("port_value");
    let port = s.integer("port_value", 0..=65535);
    s.finish();
    if host.is_empty() {
        return None;
    }
    let port = u16::try_from(port?).ok()?;
    Some(HostPort { host, port, place })
}

/// An address that must be an IP address: listeners bind to it.
pub(super) fn ip_port(m: &Message<'_>, field: &str) -> Option<SocketAddr> {
    let address = host_port(m, field)?;
    ip_or_report(m.cx, &address)
}

/// The IP address of a host and port, or an error where the host is a name.
pub(super) fn ip_or_report(cx: &Context, address: &HostPort<'_>) -> Option<SocketAddr> {
    let ip = address.ip();
    if ip.is_none() {
        let message = format!("malformed IP address: {}", address.host);
        cx.error(address.place, message);
    }
    ip
}

/// A `DataSource` in a field, where given.
pub(super) fn data_source<'a>(m: &Message<'a>, field: &str) -> Option<(DataSource, &'a Node)> {
    data_source_of(m.cx, m.get(field)?)
}

/// A `DataSource`, and the node of its value.
pub(super) fn data_source_of<'a>(
    cx: &'a Context,
    node: &'a Node,
) -> Option<(DataSource, &'a Node)> {
    let source = Message::open(cx, node, &DATA_SOURCE)?;
    let kinds = ["filename", "inline_string", "environment_variable"];
    let given = source.one_of(&kinds, true);
    source.finish();
    let (kind, node) = given?;
    let text = cx.text(node)?;
    let data = match kind {
        "filename" => read_file(cx, text, &node.span)?,
        "environment_variable" => match std::env::var(text) {
            Ok(value) => DataSource { file: None, bytes: value.into_bytes().into() },
            Err(why) => {
                let message = format!("the environment variable `{text}` can't be read: {why}");
                cx.error(&node.span, message);
                return None;
            }
        },
        _ => DataSource { file: None, bytes: text.as_bytes().into() },
    };
    Some((data, node))
}

fn read_file(cx: &Context, name: &str, place: &Span) -> Option<DataSource> {
    match files::read(Path::new(name)) {
        Ok(bytes) => Some(DataSource { file: Some(name.into()), bytes: bytes.into() }),
        Err(why) => {
            cx.error(place, format!("can't read the file `{name}`: {why}"));
            None
        }
    }
}

/// A `RegexMatcher`, anchored on both sides.
pub(super) fn anchored_regex(cx: &Context, node: &Node) -> Option<Pattern> {
    regex(cx, node, re2::anchored)
}

fn regex(
    cx: &Context,
    node: &Node,
    compile: fn(&str) -> Result<Pattern, String>,
) -> Option<Pattern> {
    let m = Message::open(cx, node, &REGEX_MATCHER)?;
    if let Some(engine) = m.message("google_re2", &GOOGLE_RE2) {
        engine.finish();
    }
    let pattern = m.required_string("regex");
    let place = m.place_of("regex").clone();
    m.finish();
    if pattern.is_empty() {
        return None;
    }
    match compile(&pattern) {
        Ok(regex) => Some(regex),
        Err(why) => {
            cx.report(
                Diagnostic::new(&place, format!("this regular expression is not valid: {why}"))
                    .help("the syntax is RE2's: no look-around and no back-references"),
            );
            None
        }
    }
}

/// A `RegexMatchAndSubstitute` in a field, where given: the pattern, which may match anywhere, and
/// what replaces it.
pub(super) fn substitution(m: &Message<'_>, field: &str) -> Option<(Pattern, String)> {
    let m = m.message(field, &REGEX_SUBSTITUTE)?;
    let cx = m.cx;
    let pattern = m.required("pattern").and_then(|n| regex(m.cx, n, re2::unanchored));
    let substitution = m.header_text("substitution").unwrap_or_default();
    let place = m.place_of("substitution").clone();
    m.finish();
    let pattern = pattern?;
    if let Err(why) = Substitution::parse(&substitution, &pattern) {
        cx.error(&place, format!("this substitution is not valid: {why}"));
        return None;
    }
    Some((pattern, substitution))
}
