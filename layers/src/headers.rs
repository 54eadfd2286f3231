//! Headers that a proxy keeps as one line each.
//!
//! Envoy stores well-known headers in one slot and joins repeated lines with commas on arrival;
//! all others stay separate lines. `http::HeaderMap` keeps all of them apart, so what compares or
//! prints a value asks here.

use http::{HeaderMap, HeaderName};

/// Whether Envoy keeps this header in one slot.
pub(crate) fn is_single_line(name: &HeaderName) -> bool {
    SINGLE_LINE.binary_search(&name.as_str()).is_ok()
}

/// All of a header that Envoy keeps as one and that came in several lines, joined; `None` for any
/// other header, whose lines are as they should be. Cheap where nothing repeats.
pub(crate) fn joined_if_single(map: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let repeats = map.get_all(name).iter().nth(1).is_some();
    if repeats && is_single_line(name) { joined(map, name) } else { None }
}

/// The lines of a header joined by commas; `None` where there are fewer than two.
pub(crate) fn joined(map: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut lines = map.get_all(name).iter();
    let first = lines.next()?;
    let second = lines.next()?;
    let mut all = first.as_bytes().to_vec();
    for line in std::iter::once(second).chain(lines) {
        all.push(b',');
        all.extend_from_slice(line.as_bytes());
    }
    Some(all)
}

/// Sorted, for the binary search.
const SINGLE_LINE: &[&str] = &[
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
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
    "referer",
    "user-agent",
    "via",
    "x-client-trace-id",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-external-address",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(SINGLE_LINE.is_sorted());
    }

    #[test]
    fn joins_only_what_repeats() {
        let mut map = HeaderMap::new();
        map.append("accept", "a".parse().unwrap());
        assert_eq!(joined(&map, &http::header::ACCEPT), None);
        map.append("accept", "b".parse().unwrap());
        map.append("accept", "c".parse().unwrap());
        assert_eq!(joined(&map, &http::header::ACCEPT).as_deref(), Some(&b"a,b,c"[..]));
    }
}
