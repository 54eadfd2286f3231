//! What a route asks of a request.

use front_proxy_layers::route::{
    HeaderMatch, HeaderMatchName, HeaderRule, PathMatch, QueryMatch, QueryRule, RouteMatch,
    StringMatch,
};

use crate::config::decode::fraction::runtime_fraction;
use crate::config::decode::headers::header_name;
use crate::config::decode::shared::anchored_regex;
use crate::config::message::{Context, Message};
use crate::config::schema::route::{
    CONNECT_MATCHER, GRPC_MATCH, HEADER_MATCHER, INT64_RANGE, QUERY_MATCHER, ROUTE_MATCH,
    STRING_MATCHER,
};
use crate::config::yaml::Node;

const PATHS: &[&str] =
    &["prefix", "path", "safe_regex", "connect_matcher", "path_separated_prefix"];

pub(super) fn route_match(cx: &Context, node: &Node) -> Option<RouteMatch> {
    let m = Message::open(cx, node, &ROUTE_MATCH)?;
    let path = m.one_of(PATHS, true).and_then(|(kind, node)| path(cx, kind, node));
    let grpc = m.message("grpc", &GRPC_MATCH).map(Message::finish).is_some();
    let out = RouteMatch {
        path: path.unwrap_or(PathMatch::Connect),
        case_sensitive: m.optional_bool("case_sensitive").unwrap_or(true),
        headers: header_matchers(&m, "headers"),
        query: m
            .messages("query_parameters", &QUERY_MATCHER)
            .into_iter()
            .filter_map(query_matcher)
            .collect(),
        grpc,
        fraction: runtime_fraction(&m, "runtime_fraction"),
    };
    m.finish();
    Some(out)
}

fn path(cx: &Context, kind: &str, node: &Node) -> Option<PathMatch> {
    Some(match kind {
        "safe_regex" => PathMatch::Regex(anchored_regex(cx, node)?),
        "connect_matcher" => {
            Message::open(cx, node, &CONNECT_MATCHER)?.finish();
            PathMatch::Connect
        }
        "prefix" => PathMatch::Prefix(cx.text(node)?.to_owned()),
        "path" => PathMatch::Exact(cx.text(node)?.to_owned()),
        _ => {
            let prefix = cx.text(node)?;
            let is_short = prefix.chars().nth(1).is_none();
            if is_short || prefix.ends_with('/') || prefix.contains(['?', '#']) {
                cx.error(
                    &node.span,
                    "`path_separated_prefix` must have two characters, not end in `/`, and hold \
                     neither `?` nor `#`",
                );
            }
            PathMatch::SegmentPrefix(prefix.to_owned())
        }
    })
}

/// A list of header matchers.
pub(super) fn header_matchers(m: &Message<'_>, field: &str) -> Vec<HeaderMatch> {
    m.messages(field, &HEADER_MATCHER).into_iter().filter_map(header_matcher).collect()
}

fn header_matcher(m: Message<'_>) -> Option<HeaderMatch> {
    let name = m.required_string("name");
    let place = m.place_of("name");
    let name = match name.as_str() {
        "" => None,
        ":method" => Some(HeaderMatchName::Method),
        ":path" => Some(HeaderMatchName::Path),
        ":scheme" => Some(HeaderMatchName::Scheme),
        ":authority" => Some(HeaderMatchName::Authority),
        host if host.eq_ignore_ascii_case("host") => Some(HeaderMatchName::Authority),
        name => header_name(m.cx, name, place).map(HeaderMatchName::Header),
    };
    let kinds = [
        "string_match",
        "present_match",
        "range_match",
        "exact_match",
        "safe_regex_match",
        "prefix_match",
        "suffix_match",
        "contains_match",
    ];
    let rule = match m.one_of(&kinds, false) {
        // As in Envoy, a matcher that asks nothing else asks for the header to be there.
        None => Some(HeaderRule::Present(true)),
        Some(("present_match", _)) => m.optional_bool("present_match").map(HeaderRule::Present),
        Some(("range_match", node)) => range(m.cx, node),
        Some(("string_match", node)) => string_match(m.cx, node).map(HeaderRule::Value),
        Some(("safe_regex_match", node)) => {
            anchored_regex(m.cx, node).map(|r| HeaderRule::Value(StringMatch::Regex(r)))
        }
        Some((kind, node)) => old_form(m.cx, kind, node).map(HeaderRule::Value),
    };
    let out = HeaderMatch {
        name: name.unwrap_or(HeaderMatchName::Path),
        rule: rule.unwrap_or(HeaderRule::Present(true)),
        invert: m.bool("invert_match"),
        treat_missing_as_empty: m.bool("treat_missing_header_as_empty"),
    };
    m.finish();
    Some(out)
}

fn range(cx: &Context, node: &Node) -> Option<HeaderRule> {
    let m = Message::open(cx, node, &INT64_RANGE)?;
    let start = m.integer("start", i64::MIN..=i64::MAX).unwrap_or(0);
    let end = m.integer("end", i64::MIN..=i64::MAX).unwrap_or(0);
    m.finish();
    Some(HeaderRule::Range { start, end })
}

/// `exact_match` and its like, which `string_match` has replaced.
fn old_form(cx: &Context, kind: &str, node: &Node) -> Option<StringMatch> {
    let value = cx.text(node)?.to_owned();
    if value.is_empty() && kind != "exact_match" {
        cx.error(&node.span, format!("`{kind}` must not be empty"));
    }
    Some(plain(kind.trim_end_matches("_match"), value, false))
}

/// A `StringMatcher`.
pub(super) fn string_match(cx: &Context, node: &Node) -> Option<StringMatch> {
    let m = Message::open(cx, node, &STRING_MATCHER)?;
    let ignore_case = m.bool("ignore_case");
    let kinds = ["exact", "prefix", "suffix", "safe_regex", "contains"];
    let given = m.one_of(&kinds, true);
    let out = match given {
        Some(("safe_regex", node)) => {
            if ignore_case {
                m.error(
                    "`ignore_case` has no effect for `safe_regex`; begin the regex with `(?i)`",
                );
            }
            anchored_regex(cx, node).map(StringMatch::Regex)
        }
        Some((kind, node)) => cx.text(node).map(|value| {
            if value.is_empty() && kind != "exact" {
                cx.error(&node.span, format!("`{kind}` must not be empty"));
            }
            plain(kind, value.to_owned(), ignore_case)
        }),
        None => None,
    };
    m.finish();
    out
}

fn plain(kind: &str, value: String, ignore_case: bool) -> StringMatch {
    match kind {
        "prefix" => StringMatch::Prefix { value, ignore_case },
        "suffix" => StringMatch::Suffix { value, ignore_case },
        "contains" => StringMatch::Contains { value, ignore_case },
        _ => StringMatch::Exact { value, ignore_case },
    }
}

fn query_matcher(m: Message<'_>) -> Option<QueryMatch> {
    let name = m.required_string("name");
    if name.len() > 1024 {
        m.error("`name` must not be longer than 1024 bytes");
    }
    let rule = match m.one_of(&["string_match", "present_match"], false) {
        None => Some(QueryRule::Present(true)),
        Some(("present_match", _)) => m.optional_bool("present_match").map(QueryRule::Present),
        Some((_, node)) => string_match(m.cx, node).map(QueryRule::Value),
    };
    m.finish();
    rule.map(|rule| QueryMatch { name, rule })
}
