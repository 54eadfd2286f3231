//! Changes of headers: what is added and removed at a route, a virtual host or a table.

use std::ops::Range;

use front_proxy_layers::format::{Format, FormatError, FormatErrorKind};
use front_proxy_layers::route::{AppendAction, HeaderAdd, HeaderEdits};
use http::{HeaderName, HeaderValue};

use crate::config::diagnostic::Diagnostic;
use crate::config::message::{Context, Message, Variants};
use crate::config::schema::route::{HEADER_VALUE, HEADER_VALUE_OPTION};
use crate::config::source::Span;
use crate::config::suggest::nearest;
use crate::config::yaml::Node;

const APPEND_ACTIONS: &Variants<AppendAction> = &[
    ("APPEND_IF_EXISTS_OR_ADD", 0, Some(AppendAction::AppendIfExistsOrAdd)),
    ("ADD_IF_ABSENT", 1, Some(AppendAction::AddIfAbsent)),
    ("OVERWRITE_IF_EXISTS_OR_ADD", 2, Some(AppendAction::OverwriteIfExistsOrAdd)),
    ("OVERWRITE_IF_EXISTS", 3, Some(AppendAction::OverwriteIfExists)),
];

/// Envoy's limits on one list and on names and values.
const MAX_EDITS: usize = 1000;
const MAX_LENGTH: usize = 16384;

/// The four fields of header changes that a message has.
pub(super) fn header_edits(m: &Message<'_>) -> HeaderEdits {
    HeaderEdits {
        request_add: added(m, "request_headers_to_add"),
        request_remove: removed(m, "request_headers_to_remove"),
        response_add: added(m, "response_headers_to_add"),
        response_remove: removed(m, "response_headers_to_remove"),
    }
}

/// Changes of a request's headers, where only those are.
pub(super) fn request_edits(m: &Message<'_>) -> HeaderEdits {
    HeaderEdits {
        request_add: added(m, "request_headers_to_add"),
        request_remove: removed(m, "request_headers_to_remove"),
        ..HeaderEdits::default()
    }
}

pub(super) fn added(m: &Message<'_>, field: &str) -> Vec<HeaderAdd> {
    let options = m.messages(field, &HEADER_VALUE_OPTION);
    if options.len() > MAX_EDITS {
        m.error(format!("`{field}` must not have more than {MAX_EDITS} entries"));
    }
    options.into_iter().filter_map(add).collect()
}

fn add(m: Message<'_>) -> Option<HeaderAdd> {
    let header = m.required("header").and_then(|n| Message::open(m.cx, n, &HEADER_VALUE));
    let mut action = m.enumeration("append_action", APPEND_ACTIONS);
    if let Some(append) = m.optional_bool("append") {
        if m.has("append_action") {
            m.error("both `append` and `append_action` are set: leave `append` out");
        }
        // The old form of the same.
        action = Some(if append {
            AppendAction::AppendIfExistsOrAdd
        } else {
            AppendAction::OverwriteIfExistsOrAdd
        });
    }
    let keep_empty_value = m.bool("keep_empty_value");
    m.finish();
    let header = header?;
    let key = header.required_string("key");
    let place = header.place_of("key");
    let name = changeable(header.cx, &key, place, "modified");
    let value = header.header_text("value").unwrap_or_default();
    let value_place = header.place_of("value");
    for (what, text, place) in [("name", &key, place), ("value", &value, value_place)] {
        if text.len() > MAX_LENGTH {
            let message = format!("a header {what} must not be longer than {MAX_LENGTH} bytes");
            header.cx.error(place, message);
        }
    }
    if let Some(node) = header.get("value") {
        header_format(header.cx, &value, node);
    }
    header.finish();
    Some(HeaderAdd { name: name?, value, action: action.unwrap_or_default(), keep_empty_value })
}

fn removed(m: &Message<'_>, field: &str) -> Vec<HeaderName> {
    m.strings(field)
        .into_iter()
        .filter_map(|(name, place)| changeable(m.cx, name, place, "removed"))
        .collect()
}

/// The name of a header that a configuration may change.
fn changeable(cx: &Context, name: &str, place: &Span, what: &str) -> Option<HeaderName> {
    if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
        cx.report(
            Diagnostic::new(place, format!(":-prefixed or host headers may not be {what}"))
                .help("use `prefix_rewrite`, `host_rewrite_literal` and their like"),
        );
        return None;
    }
    header_name(cx, name, place)
}

/// A header name as HTTP allows it (RFC 9110, 5.1).
pub(super) fn header_name(cx: &Context, name: &str, place: &Span) -> Option<HeaderName> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
    if parsed.is_none() {
        cx.error(place, format!("`{name}` is not a header name"));
    }
    parsed
}

/// Checks a text with `%COMMAND%`s that becomes a header's value.
fn header_format(cx: &Context, text: &str, node: &Node) {
    let format = check_format(cx, text, node);
    let literal = format.as_ref().and_then(Format::as_literal);
    if literal.is_some_and(|text| HeaderValue::from_bytes(text.as_bytes()).is_err()) {
        cx.error(&node.span, "a header's value can't hold this text");
    }
}

/// Compiles the `%COMMAND%`s of a text. `node` holds it, or names the file that does.
pub(super) fn check_format(cx: &Context, text: &str, node: &Node) -> Option<Format> {
    let FormatError { offset, len, kind } = match Format::parse(text) {
        Ok(format) => return Some(format),
        Err(why) => why,
    };
    let characters = |bytes: Range<usize>| text.get(bytes).map_or(0, |part| part.chars().count());
    let place = node.within(characters(0..offset), characters(offset..offset + len));
    let diagnostic = Diagnostic::new(&place, kind.to_string());
    cx.report(match &kind {
        FormatErrorKind::NotACommand => diagnostic.help("commands look like `%REQ(x-name):20%`"),
        FormatErrorKind::Unknown(name) => match nearest(name, Format::commands()) {
            Some(near) => diagnostic.help(format!("did you mean `%{near}%`?")),
            None => diagnostic,
        },
        _ => diagnostic,
    });
    None
}
