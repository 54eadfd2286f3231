//! Headers that a proxy keeps as one line each.
//!
//! Envoy stores well-known headers in one slot and joins repeated lines with commas on arrival;
//! all others stay separate lines. `http::HeaderMap` keeps all of them apart, so what compares or
//! prints a value asks here.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Which message headers belong to: Envoy has slots of its own for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

impl Side {
    /// Whether Envoy keeps this header in one slot.
    pub(crate) fn is_single_line(self, name: &HeaderName) -> bool {
        let slots = match self {
            Self::Request => REQUEST_SLOTS,
            Self::Response => RESPONSE_SLOTS,
        };
        slots.binary_search(&name.as_str()).is_ok()
    }
}

/// All of a header that Envoy keeps as one and that came in several lines, joined; `None` for any
/// other header, whose lines are as they should be. Cheap where nothing repeats.
pub(crate) fn joined_if_single(side: Side, map: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let repeats = map.get_all(name).iter().nth(1).is_some();
    if repeats && side.is_single_line(name) { joined(map, name) } else { None }
}

/// Gives each header that Envoy keeps as one a single line. Cheap where nothing repeats.
#[inline]
pub(crate) fn join_single_lines(side: Side, map: &mut HeaderMap) {
    if map.len() == map.keys_len() {
        return;
    }
    join_repeated(side, map);
}

#[cold]
fn join_repeated(side: Side, map: &mut HeaderMap) {
    let is_repeated = |name: &&HeaderName| map.get_all(*name).iter().nth(1).is_some();
    let names = map.keys().filter(|name| side.is_single_line(name)).filter(is_repeated);
    for name in names.cloned().collect::<Vec<_>>() {
        let joined = joined(map, &name).and_then(|all| HeaderValue::try_from(all).ok());
        if let Some(joined) = joined {
            map.insert(name, joined);
        }
    }
}

/// The first line of a header that mostly is not there: a look at the names that are costs less than
/// the hash that [`HeaderMap::get`] makes of this one.
#[inline]
pub(crate) fn find<'m>(map: &'m HeaderMap, name: &HeaderName) -> Option<&'m HeaderValue> {
    map.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
}

/// Takes out a header that mostly is not there, all its lines, and returns the first.
#[inline]
pub(crate) fn take(map: &mut HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    find(map, name)?;
    map.remove(name)
}

/// Whether a header that lists tokens has this one, in any case (RFC 9110 section 5.6.1).
pub(crate) fn has_token(map: &HeaderMap, name: &HeaderName, token: &[u8]) -> bool {
    map.iter().any(|(other, line)| other == name && lists(line, token))
}

/// The same for one line.
pub(crate) fn lists(line: &HeaderValue, token: &[u8]) -> bool {
    let line = line.as_bytes();
    let is_it = |item: &[u8]| item.trim_ascii().eq_ignore_ascii_case(token);
    // Mostly there is one item.
    if line.contains(&b',') { line.split(|b| *b == b',').any(is_it) } else { is_it(line) }
}

/// Puts a value behind those that a header has, as one line.
pub(crate) fn append_to_list(
    map: &mut HeaderMap,
    name: &HeaderName,
    value: &HeaderValue,
    separator: &str,
) {
    let mut all = match map.get(name) {
        None => {
            map.insert(name, value.clone());
            return;
        }
        Some(first) => joined(map, name).unwrap_or_else(|| first.as_bytes().to_vec()),
    };
    append(&mut all, value, separator);
    if let Ok(all) = HeaderValue::try_from(all) {
        map.insert(name, all);
    }
}

/// The lines of a header joined by commas; `None` where there are fewer than two. Those that are
/// empty leave no comma, as in Envoy.
pub(crate) fn joined(map: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut lines = map.get_all(name).iter();
    let first = lines.next()?;
    let second = lines.next()?;
    let mut all = first.as_bytes().to_vec();
    for line in std::iter::once(second).chain(lines) {
        append(&mut all, line, ",");
    }
    Some(all)
}

fn append(all: &mut Vec<u8>, value: &HeaderValue, separator: &str) {
    if !all.is_empty() && !value.is_empty() {
        all.extend_from_slice(separator.as_bytes());
    }
    all.extend_from_slice(value.as_bytes());
}

/// Sorted, for the binary search.
const REQUEST_SLOTS: &[&str] = &[
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "access-control-request-private-network",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-type",
    "grpc-accept-encoding",
    "grpc-timeout",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "origin",
    "pragma",
    "proxy-status",
    "referer",
    "user-agent",
    "via",
    "x-client-trace-id",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-external-address",
    "x-envoy-is-timeout-retry",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
];

/// Sorted as well.
const RESPONSE_SLOTS: &[&str] = &[
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-allow-private-network",
    "access-control-expose-headers",
    "access-control-max-age",
    "age",
    "cache-control",
    "content-encoding",
    "content-type",
    "date",
    "etag",
    "expires",
    "grpc-message",
    "grpc-status",
    "last-modified",
    "location",
    "proxy-status",
    "server",
    "vary",
    "via",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-degraded",
    "x-envoy-immediate-health-check-fail",
    "x-envoy-ratelimited",
    "x-envoy-upstream-canary",
    "x-envoy-upstream-healthchecked-cluster",
    "x-envoy-upstream-service-time",
    "x-request-id",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        assert!(REQUEST_SLOTS.is_sorted());
        assert!(RESPONSE_SLOTS.is_sorted());
    }

    #[test]
    fn only_headers_of_one_line_are_joined() {
        let mut map = HeaderMap::new();
        for name in ["accept", "x-own", "x-forwarded-for", "location", "via"] {
            map.append(name, HeaderValue::from_static("a"));
            map.append(name, HeaderValue::from_static("b"));
        }
        let joined = |side| {
            let mut map = map.clone();
            join_single_lines(side, &mut map);
            let is_joined = |name: &&HeaderName| map[*name] == "a,b";
            map.keys().filter(is_joined).map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(joined(Side::Request), ["accept", "x-forwarded-for", "via"]);
        assert_eq!(joined(Side::Response), ["location", "via"]);
    }

    #[test]
    fn a_list_grows_at_its_end() {
        let mut map = HeaderMap::new();
        for (value, want) in [("a", "a"), ("b", "a, b"), ("c", "a, b, c")] {
            append_to_list(&mut map, &http::header::VIA, &HeaderValue::from_static(value), ", ");
            assert_eq!(map["via"], want);
        }
        assert_eq!(map.len(), 1);
    }

    #[test]
    fn joins_only_what_repeats() {
        let mut map = HeaderMap::new();
        map.append("accept", "a".parse().unwrap());
        assert_eq!(joined(&map, &http::header::ACCEPT), None);
        map.append("accept", "b".parse().unwrap());
        for line in ["", "c", ""] {
            map.append("accept", line.parse().unwrap());
        }
        assert_eq!(joined(&map, &http::header::ACCEPT).as_deref(), Some(&b"a,b,c"[..]));
    }
}
