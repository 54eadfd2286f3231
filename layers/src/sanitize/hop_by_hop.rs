use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, Version};

use crate::error::{ErrorKind, ProxyError};
use crate::headers::{self, Side};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// What to do with a request that asks for another protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// It is allowed: `connection: upgrade` and `upgrade` go upstream.
    Allow,
    /// Answer 403, as Envoy does where no `upgrade_configs` entry names the protocol.
    Refuse,
}

/// Takes hop-by-hop headers out of a request.
///
/// # Errors
///
/// [`ErrorKind::UpgradeRefused`] for a protocol switch that is not allowed, and
/// [`ErrorKind::BadRequest`] where `connection` nominates a header that the proxy itself vouches
/// for (`x-forwarded-*`, pseudo headers): taking it out would let a client choose what the
/// upstream believes.
pub fn request_headers(headers: &mut HeaderMap, upgrade: Upgrade) -> Result<(), ProxyError> {
    headers::join_single_lines(Side::Request, headers);
    let present = Present::of(headers);
    if present.connection {
        connection(headers, upgrade, present.upgrade)?;
    } else if present.upgrade {
        headers.remove(UPGRADE);
    }
    if present.te {
        te(headers);
    }
    if present.keep_alive {
        headers.remove(KEEP_ALIVE);
    }
    if present.proxy_connection {
        headers.remove(PROXY_CONNECTION);
    }
    if present.transfer_encoding {
        headers.remove(TRANSFER_ENCODING);
    }
    Ok(())
}

/// Takes hop-by-hop headers out of a response.
pub fn response_headers(headers: &mut HeaderMap, switching_protocols: bool) {
    headers::join_single_lines(Side::Response, headers);
    remove_from_response(headers, switching_protocols);
}

/// The same, with all else left as it came.
pub(crate) fn remove_from_response(headers: &mut HeaderMap, switching_protocols: bool) {
    let present = Present::of(headers);
    if !switching_protocols {
        if present.connection {
            headers.remove(CONNECTION);
        }
        if present.upgrade {
            headers.remove(UPGRADE);
        }
    }
    if present.keep_alive {
        headers.remove(KEEP_ALIVE);
    }
    if present.proxy_connection {
        headers.remove(PROXY_CONNECTION);
    }
    if present.transfer_encoding {
        headers.remove(TRANSFER_ENCODING);
    }
}

/// Which of the headers of interest are there. One walk over the names costs less than a look-up
/// for each, and most messages have none of them.
#[derive(Default)]
struct Present {
    connection: bool,
    keep_alive: bool,
    proxy_connection: bool,
    te: bool,
    transfer_encoding: bool,
    upgrade: bool,
}

impl Present {
    fn of(headers: &HeaderMap) -> Self {
        let mut present = Self::default();
        for name in headers.keys() {
            match *name {
                CONNECTION => present.connection = true,
                TE => present.te = true,
                TRANSFER_ENCODING => present.transfer_encoding = true,
                UPGRADE => present.upgrade = true,
                _ if *name == KEEP_ALIVE => present.keep_alive = true,
                _ if *name == PROXY_CONNECTION => present.proxy_connection = true,
                _ => {}
            }
        }
        present
    }
}

/// Takes out `connection` and what it nominates.
fn connection(
    headers: &mut HeaderMap,
    upgrade: Upgrade,
    has_upgrade: bool,
) -> Result<(), ProxyError> {
    // Almost always it is `keep-alive` or `close` alone, which name nothing that is left.
    let single = headers.get(CONNECTION).is_some_and(|value| {
        value.as_bytes().eq_ignore_ascii_case(b"keep-alive")
            || value.as_bytes().eq_ignore_ascii_case(b"close")
    }) && headers.get_all(CONNECTION).iter().nth(1).is_none();
    if single {
        headers.remove(CONNECTION);
        headers.remove(UPGRADE);
        return Ok(());
    }

    let mut nominated = Vec::new();
    let mut wants_upgrade = None;
    for value in headers.get_all(CONNECTION) {
        for token in value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"upgrade") {
                wants_upgrade = Some(token);
            } else if let Ok(name) = HeaderName::from_bytes(token) {
                nominated.push(name);
            }
        }
    }
    if nominated.iter().any(is_vouched_for) {
        return Err(ProxyError::new(ErrorKind::BadRequest));
    }
    let h2c = headers.get(UPGRADE).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"h2c"));
    if let Some(token) = wants_upgrade.filter(|_| has_upgrade && !h2c) {
        if upgrade == Upgrade::Refuse {
            return Err(ProxyError::new(ErrorKind::UpgradeRefused));
        }
        // In the client's own spelling, as Envoy forwards it.
        let token =
            HeaderValue::from_bytes(token).unwrap_or_else(|_| HeaderValue::from_static("upgrade"));
        for name in nominated.iter().filter(|name| !is_kept(name)) {
            headers.remove(name);
        }
        headers.insert(CONNECTION, token);
        return Ok(());
    }
    headers.remove(CONNECTION);
    headers.remove(UPGRADE);
    if h2c {
        // RFC 7540's upgrade from HTTP/1.1 is history; Envoy serves such a request as it is.
        headers.remove(HTTP2_SETTINGS);
    }
    for name in nominated.iter().filter(|name| !is_kept(name)) {
        headers.remove(name);
    }
    Ok(())
}

/// Headers that stay although they are nominated: framing and routing need them, and `te` has a
/// rule of its own.
/// Whether a message is the last one of its connection by its own word (RFC 9112 section 9.3). Envoy's
/// codec heeds `proxy-connection`, which was never a standard, as well.
pub fn is_last(version: Version, headers: &HeaderMap) -> bool {
    if version == Version::HTTP_10 {
        return !headers::has_token(headers, &CONNECTION, b"keep-alive");
    }
    let mut lines = headers.iter();
    lines.any(|(name, line)| {
        (*name == CONNECTION || *name == PROXY_CONNECTION) && headers::lists(line, b"close")
    })
}

fn is_kept(name: &HeaderName) -> bool {
    matches!(*name, TE | HOST | CONTENT_LENGTH | TRAILER)
}

/// Whether a value of `connection` nominates only what may be taken out.
pub fn may_nominate(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').all(|token| {
        !HeaderName::from_bytes(token.trim_ascii()).is_ok_and(|name| is_vouched_for(&name))
    })
}

/// Headers whose nomination is refused.
fn is_vouched_for(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-proto" | "forwarded"
    )
}

/// `te` keeps nothing but `trailers` (RFC 9110 section 10.1.4: the rest is between neighbours).
fn te(map: &mut HeaderMap) {
    if headers::has_token(map, &TE, b"trailers") {
        map.insert(TE, HeaderValue::from_static("trailers"));
    } else {
        map.remove(TE);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever `connection` says, what is between neighbours goes no further, and what frames or
        /// routes the message stays.
        #[test]
        fn nothing_between_neighbours_passes(
            tokens in vec(select(vec![
                "close", "keep-alive", "Upgrade", "x-a", "X-A", "host", "content-length", "te", " ",
                "", "a b", "transfer-encoding", "\u{e9}",
            ]), 0..6),
            lines in 1..3usize,
            te in select(vec!["trailers", "gzip", "gzip, trailers"]),
        ) {
            let mut map = headers(&[
                ("host", "h"), ("content-length", "3"), ("x-a", "1"), ("x-b", "2"),
                ("keep-alive", "x"), ("transfer-encoding", "chunked"), ("proxy-connection", "x"),
            ]);
            map.insert(TE, HeaderValue::from_static(te));
            for part in tokens.chunks(tokens.len().div_ceil(lines).max(1)) {
                let value = part.join(",");
                map.append(CONNECTION, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
            }
            request_headers(&mut map, Upgrade::Refuse).expect("nothing asked for is refused");
            for name in ["connection", "keep-alive", "transfer-encoding", "proxy-connection"] {
                prop_assert!(!map.contains_key(name), "{}", name);
            }
            let nominated = tokens.iter().any(|token| token.eq_ignore_ascii_case("x-a"));
            prop_assert_eq!(map.contains_key("x-a"), !nominated);
            for name in ["host", "content-length", "x-b"] {
                prop_assert!(map.contains_key(name), "{}", name);
            }
            prop_assert_eq!(map.get(TE).is_some(), te.contains("trailers"));
        }
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v)))
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn every_hop_by_hop_header_goes_from_a_request() {
        for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]
        {
            let mut map = headers(&[("accept", "*/*")]);
            map.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
            request_headers(&mut map, Upgrade::Refuse).expect("served");
            assert_eq!(names(&map), ["accept"], "{name}");
        }
    }

    #[test]
    fn nominated_headers_go_but_te_has_its_own_rule() {
        let mut map =
            headers(&[("connection", "te, X-Mine ,close"), ("x-mine", "1"), ("te", "trailers")]);
        request_headers(&mut map, Upgrade::Refuse).expect("served");
        assert_eq!(names(&map), ["te"]);
    }

    #[test]
    fn te_is_reduced_to_trailers() {
        let mut map = headers(&[("te", "gzip, trailers;q=0.5, trailers")]);
        request_headers(&mut map, Upgrade::Refuse).expect("served");
        assert_eq!(map["te"], "trailers");
        let mut map = headers(&[("te", "gzip")]);
        request_headers(&mut map, Upgrade::Refuse).expect("served");
        assert!(map.is_empty());
    }

    #[test]
    fn nominating_what_the_proxy_vouches_for_is_refused() {
        let mut map = headers(&[("connection", "close, x-forwarded-for")]);
        let error = request_headers(&mut map, Upgrade::Refuse).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::BadRequest);
    }

    #[test]
    fn a_switch_is_refused_or_passed_whole() {
        let lines =
            [("connection", "keep-alive, Upgrade, x-a"), ("upgrade", "websocket"), ("x-a", "")];
        let error = request_headers(&mut headers(&lines), Upgrade::Refuse).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::UpgradeRefused);
        let mut map = headers(&lines);
        request_headers(&mut map, Upgrade::Allow).expect("allowed");
        assert_eq!(map["connection"], "Upgrade");
        assert_eq!(map["upgrade"], "websocket");
        assert_eq!(map.len(), 2);
    }

    #[test]
    fn h2c_is_ignored() {
        let mut map = headers(&[
            ("connection", "Upgrade, HTTP2-Settings"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAA"),
        ]);
        request_headers(&mut map, Upgrade::Refuse).expect("served as HTTP/1");
        assert!(map.is_empty());
    }

    #[test]
    fn headers_of_one_line_are_joined_on_both_sides() {
        let mut map = HeaderMap::new();
        for name in ["location", "user-agent", "x-own"] {
            map.append(name, HeaderValue::from_static("a"));
            map.append(name, HeaderValue::from_static("b"));
        }
        let mut request = map.clone();
        request_headers(&mut request, Upgrade::Refuse).expect("served");
        assert!(request["location"] == "a" && request["user-agent"] == "a,b");
        response_headers(&mut map, false);
        assert!(map["location"] == "a,b" && map["user-agent"] == "a");
        assert_eq!(map.get_all("x-own").iter().count(), 2);
    }

    #[test]
    fn a_response_keeps_what_it_nominates() {
        let mut map = headers(&[("connection", "x-a"), ("x-a", "1"), ("keep-alive", "timeout=5")]);
        response_headers(&mut map, false);
        assert_eq!(names(&map), ["x-a"]);
    }
}
