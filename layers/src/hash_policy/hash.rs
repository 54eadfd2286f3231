//! The hash of a request by a list of policies.

use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use twox_hash::XxHash64;

use crate::forwarded::Client;
use crate::route::HashPolicy;

/// What came of hashing a request.
#[derive(Debug, Default)]
pub(super) struct Hashed {
    /// `None` where the request has nothing of what the policies ask for.
    pub(super) hash: Option<u64>,
    /// Cookies to give to the client.
    pub(super) cookies: Vec<HeaderValue>,
}

pub(super) fn hash<B>(policies: &[HashPolicy], request: &Request<B>) -> Hashed {
    let mut out = Hashed::default();
    for policy in policies {
        let (new, terminal) = match policy {
            HashPolicy::Header { name, terminal } => (of_header(request.headers(), name), terminal),
            HashPolicy::SourceIp { terminal } => {
                let client = request.extensions().get::<Client>();
                (client.map(|client| of(client.address.to_string().as_bytes())), terminal)
            }
            HashPolicy::Query { name, terminal } => {
                let value = request.uri().query().and_then(|query| parameter(query, name));
                (value.map(|value| of(value.as_bytes())), terminal)
            }
            HashPolicy::Cookie { name, ttl, path, terminal } => {
                (of_cookie(request, name, *ttl, path, &mut out.cookies), terminal)
            }
        };
        if let Some(new) = new {
            // Turned, so that the same policy twice does not cancel itself out.
            out.hash = Some(out.hash.map_or(0, |old| old.rotate_left(1)) ^ new);
        }
        if *terminal && out.hash.is_some() {
            break;
        }
    }
    out
}

fn of(value: &[u8]) -> u64 {
    XxHash64::oneshot(0, value)
}

/// Several lines count in any order.
fn of_header(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let mut values: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    values.sort_unstable();
    values.into_iter().fold(None, |seed, value| Some(XxHash64::oneshot(seed.unwrap_or(0), value)))
}

/// The first parameter of this name; one without `=` has an empty value.
fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

fn of_cookie<B>(
    request: &Request<B>,
    name: &str,
    ttl: Option<Duration>,
    path: &str,
    cookies: &mut Vec<HeaderValue>,
) -> Option<u64> {
    let given = cookie(request.headers(), name).filter(|value| !value.is_empty());
    if let Some(value) = given {
        return Some(of(value.as_bytes()));
    }
    let ttl = ttl?;
    // The same for all requests of a connection, as in Envoy: a client that sends several at once
    // would have to be told several times where it belongs.
    let value = match request.extensions().get::<Client>() {
        Some(client) => of(client.peer.to_string().as_bytes()),
        None => fastrand::u64(..),
    };
    let value = format!("{value:016x}");
    let mut line = format!("{name}=\"{value}\"");
    if !ttl.is_zero() {
        line.push_str(&format!("; Max-Age={}", ttl.as_secs()));
    }
    if !path.is_empty() {
        line.push_str(&format!("; Path={path}"));
    }
    line.push_str("; HttpOnly");
    cookies.push(HeaderValue::try_from(line).ok()?);
    Some(of(value.as_bytes()))
}

/// The value of the first cookie of this name, without the quotes around it.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        (key == name).then_some(bare.unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, headers: &[(&'static str, &str)]) -> Request<()> {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).expect("a request");
        request.extensions_mut().insert(Client {
            address: "203.0.113.7".parse().expect("an address"),
            peer: "127.0.0.1:4711".parse().expect("an address"),
        });
        request
    }

    fn header(name: &'static str, terminal: bool) -> HashPolicy {
        HashPolicy::Header { name: HeaderName::from_static(name), terminal }
    }

    fn value(policies: &[HashPolicy], request: &Request<()>) -> Option<u64> {
        hash(policies, request).hash
    }

    #[test]
    fn values_are_hashed_as_envoy_hashes_them() {
        let policy = [header("x-user", false)];
        // xxHash64 with seed 0 of "alice" and of nothing.
        assert_eq!(value(&policy, &request("/", &[("x-user", "")])), Some(0xef46_db37_51d8_e999));
        assert_eq!(value(&policy, &request("/", &[])), None);
        let query = [HashPolicy::Query { name: "u".into(), terminal: false }];
        assert_eq!(
            value(&query, &request("/?a=1&u=alice&u=bob", &[])),
            value(&policy, &request("/", &[("x-user", "alice")]))
        );
        assert_eq!(value(&query, &request("/?user=alice", &[])), None);
        let source = [HashPolicy::SourceIp { terminal: false }];
        assert_eq!(value(&source, &request("/", &[])), Some(of(b"203.0.113.7")));
    }

    #[test]
    fn lines_count_in_any_order() {
        let policy = [header("x-user", false)];
        assert_eq!(
            value(&policy, &request("/", &[("x-user", "a"), ("x-user", "b")])),
            value(&policy, &request("/", &[("x-user", "b"), ("x-user", "a")]))
        );
    }

    #[test]
    fn policies_are_combined_up_to_a_terminal_one_that_has_something() {
        let both = request("/", &[("x-a", "1"), ("x-b", "2")]);
        let second = request("/", &[("x-b", "2")]);
        let (a, b) = (of(b"1"), of(b"2"));
        let policies = [header("x-a", false), header("x-b", false)];
        assert_eq!(value(&policies, &both), Some(a.rotate_left(1) ^ b));
        let policies = [header("x-a", true), header("x-b", false)];
        assert_eq!(value(&policies, &both), Some(a));
        assert_eq!(value(&policies, &second), Some(b));
        let twice = [header("x-a", false), header("x-a", false)];
        assert_ne!(value(&twice, &both), Some(0));
    }

    #[test]
    fn a_cookie_is_read_or_given() {
        let policy = |ttl: Option<u64>, path: &str| {
            [HashPolicy::Cookie {
                name: "sticky".into(),
                ttl: ttl.map(Duration::from_secs),
                path: path.into(),
                terminal: false,
            }]
        };
        let known = request("/", &[("cookie", "a=b; sticky=\"x1\"")]);
        let hashed = hash(&policy(Some(60), "/"), &known);
        assert_eq!((hashed.hash, hashed.cookies.len()), (Some(of(b"x1")), 0));

        let unknown = request("/", &[("cookie", "a=b")]);
        assert_eq!(value(&policy(None, ""), &unknown), None);
        let hashed = hash(&policy(Some(60), "/p"), &unknown);
        let line = hashed.cookies[0].to_str().expect("text");
        let (cookie, attributes) = line.split_once("; ").expect("attributes");
        assert_eq!(attributes, "Max-Age=60; Path=/p; HttpOnly");
        // With the cookie that it was given, the client comes back to the same place.
        let next = request("/", &[("cookie", cookie)]);
        assert_eq!(value(&policy(Some(60), "/p"), &next), hashed.hash);
        assert_eq!(hash(&policy(Some(60), "/p"), &unknown).cookies, hashed.cookies);

        let session = hash(&policy(Some(0), ""), &unknown);
        assert!(session.cookies[0].to_str().expect("text").ends_with("\"; HttpOnly"));
    }
}
