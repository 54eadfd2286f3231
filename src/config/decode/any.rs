//! `Any`: a message that says by `@type` which one it is.

use crate::config::diagnostic::Diagnostic;
use crate::config::message::{Context, Message};
use crate::config::schema::{KNOWN_TYPES, Schema, short_name};
use crate::config::source::Span;
use crate::config::suggest::nearest;
use crate::config::yaml::{Node, Value};

const EXTENSIONS: &str = "envoy.extensions.";

/// Envoy's types that are used as extensions and live elsewhere.
const OTHER_TYPES: [&str; 2] =
    ["envoy.config.metrics.v3.HystrixSink", "envoy.config.metrics.v3.MetricsServiceConfig"];

/// A message of a type that is one of those that its place takes.
#[derive(Debug)]
pub(super) struct Any<'a> {
    /// Which of the schemas it is.
    pub(super) schema: &'static Schema,
    pub(super) message: Message<'a>,
}

/// The message in the `typed_config` of a filter, a transport socket and the like.
pub(super) fn typed_config<'a>(
    m: &Message<'a>,
    what: &str,
    accepted: &[&'static Schema],
) -> Option<Any<'a>> {
    let name = m.required_string("name");
    let Some(node) = m.get("typed_config") else {
        if !m.has_refused() {
            m.error(format!("`{name}`, {what}, needs a `typed_config` with an `@type`"));
        }
        return None;
    };
    any(m.cx, node, what, accepted)
}

/// A message by its `@type`.
pub(super) fn any<'a>(
    cx: &'a Context,
    node: &'a Node,
    what: &str,
    accepted: &[&'static Schema],
) -> Option<Any<'a>> {
    let (url, span) = type_url(cx, node)?;
    let Some((_, name)) = url.rsplit_once('/') else {
        cx.report(
            Diagnostic::new(span, format!("`{url}` is not a type URL"))
                .help(format!("write `type.googleapis.com/{url}`")),
        );
        return None;
    };
    if let Some(schema) = accepted.iter().find(|s| s.message == name) {
        let message = Message::open(cx, node, schema)?;
        return Some(Any { schema, message });
    }
    refuse(cx, span, name, what, accepted);
    None
}

/// Whether the message is of a type that Envoy knows and no place here takes.
pub(super) fn is_unread_type(node: &Node) -> bool {
    let Value::Map(entries) = &node.value else { return false };
    let url = entries.iter().find(|entry| entry.key == "@type").map(|entry| &entry.node.value);
    let Some(Value::Scalar(url)) = url else { return false };
    let Some((_, name)) = url.text().rsplit_once('/') else { return false };
    is_known(name) && !another_place_takes(name)
}

fn is_known(name: &str) -> bool {
    name.strip_prefix(EXTENSIONS).is_some_and(|n| KNOWN_TYPES.binary_search(&n).is_ok())
        || OTHER_TYPES.contains(&name)
}

fn type_url<'a>(cx: &Context, node: &'a Node) -> Option<(&'a str, &'a Span)> {
    let Value::Map(entries) = &node.value else {
        cx.error(
            &node.span,
            format!("expected a mapping with an `@type`, found {}", node.describe()),
        );
        return None;
    };
    let Some(entry) = entries.iter().find(|e| e.key == "@type") else {
        cx.error(&node.span, "`@type` is missing: it says which message this is");
        return None;
    };
    let url = cx.text(&entry.node)?;
    Some((url, &entry.node.span))
}

fn refuse(cx: &Context, span: &Span, name: &str, what: &str, accepted: &[&'static Schema]) {
    let known = is_known(name);
    let takes: Vec<_> = accepted.iter().map(|s| s.short_name()).collect();
    let takes = crate::config::message::list(&takes);
    let diagnostic = if known && another_place_takes(name) {
        Diagnostic::new(span, format!("`{}` can't be used as {what}", short_name(name)))
            .help(format!("it can be {takes}"))
    } else if known {
        Diagnostic::new(
            span,
            format!("`{}` is not supported yet as {what} (`{name}`)", short_name(name)),
        )
        .help(format!("supported here: {takes}"))
    } else {
        let near =
            name.strip_prefix(EXTENSIONS).and_then(|n| nearest(n, KNOWN_TYPES.iter().copied()));
        let help = match near {
            Some(near) => format!("did you mean `{EXTENSIONS}{near}`?"),
            None => format!("supported here: {takes}"),
        };
        Diagnostic::new(span, format!("unknown type `{name}`")).help(help)
    };
    cx.report(diagnostic);
}

/// Whether the type is read at some other place: then it is misplaced, not unsupported.
fn another_place_takes(name: &str) -> bool {
    crate::config::schema::supported_fields().any(|m| m.message == name)
}
