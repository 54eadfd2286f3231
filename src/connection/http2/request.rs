//! What Envoy's codec asks of a request beyond what `h2` does.

use bytes::BytesMut;
use http::header::{COOKIE, EXPECT, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use crate::config::model::{HttpConnectionManager, UnderscoresAction};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Serve,
    /// It is malformed: the end of the connection, or of the stream where that is configured.
    Malformed,
    /// It is more than is allowed: the end of the stream.
    TooLarge,
    /// It has more headers than are allowed: the end of the stream.
    TooMany,
    /// A header's name has an underscore: the end of the stream.
    Underscores,
}

/// Looks at a request, and makes one field of its cookies. Returns also how many headers were
/// dropped for their names.
pub(super) fn check<B>(
    request: &mut Request<B>,
    config: &HttpConnectionManager,
) -> (Verdict, usize) {
    if !is_well_formed(request) {
        return (Verdict::Malformed, 0);
    }
    let limit = usize::try_from(config.max_request_headers_kb).unwrap_or(usize::MAX);
    if size(request) > limit.saturating_mul(1024) {
        return (Verdict::TooLarge, 0);
    }
    // Envoy counts the four pseudo-headers too.
    if request.headers().len() + 4 > usize::try_from(config.max_headers_count).unwrap_or(usize::MAX)
    {
        return (Verdict::TooMany, 0);
    }
    let dropped = match config.underscores {
        UnderscoresAction::Allow => 0,
        UnderscoresAction::RejectRequest if with_underscores(request).next().is_some() => {
            return (Verdict::Underscores, 0);
        }
        UnderscoresAction::RejectRequest => 0,
        UnderscoresAction::DropHeader => drop_underscores(request),
    };
    join_cookies(request);
    (Verdict::Serve, dropped)
}

/// RFC 9113 section 8.3.1, where `h2` lets it pass.
fn is_well_formed<B>(request: &Request<B>) -> bool {
    let uri = request.uri();
    match uri.authority() {
        // Deprecated and refused.
        Some(authority) if authority.as_str().contains('@') => return false,
        Some(_) => {}
        None if request.headers().contains_key(HOST) => {}
        None => return false,
    }
    match *request.method() {
        Method::CONNECT => true,
        Method::OPTIONS if uri.path() == "*" => true,
        _ => uri.path().starts_with('/'),
    }
}

/// Names and values, as Envoy counts them.
fn size<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    // `:method`, `:scheme`, `:path` and `:authority`; both schemes are about as long.
    let pseudo = 7 + request.method().as_str().len() + 12 + 5 + path + 10 + authority;
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    pseudo + fields.sum::<usize>()
}

fn with_underscores<B>(request: &Request<B>) -> impl Iterator<Item = &HeaderName> {
    request.headers().keys().filter(|name| name.as_str().contains('_'))
}

fn drop_underscores<B>(request: &mut Request<B>) -> usize {
    let names: Vec<_> = with_underscores(request).cloned().collect();
    let headers = request.headers_mut();
    let before = headers.len();
    for name in names {
        headers.remove(name);
    }
    before - headers.len()
}

/// Takes an `expect: 100-continue` out (RFC 9110 section 10.1.1), and says whether there was one.
pub(super) fn take_expect_continue(headers: &mut HeaderMap) -> bool {
    let expected = headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if expected {
        headers.remove(EXPECT);
    }
    expected
}

/// RFC 9113 section 8.2.3: clients may split the cookie field, HTTP/1 has one of it.
fn join_cookies<B>(request: &mut Request<B>) {
    let headers = request.headers_mut();
    let mut cookies = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (cookies.next(), cookies.next()) else {
        return;
    };
    let mut joined = BytesMut::from(first.as_bytes());
    for cookie in std::iter::once(second).chain(cookies) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(cookie.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_maybe_shared(joined.freeze()) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::get("http://a.example/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    #[test]
    fn cookies_become_one_field() {
        let mut split =
            request(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c")]);
        join_cookies(&mut split);
        let cookies: Vec<_> = split.headers().get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c"]);
    }

    #[test]
    fn only_100_continue_is_taken_out() {
        for (value, is_taken) in [("100-Continue", true), ("100-continue, x", false), ("x", false)]
        {
            let mut request = request(&[("expect", value)]);
            assert_eq!(take_expect_continue(request.headers_mut()), is_taken, "{value}");
            assert_eq!(request.headers().is_empty(), is_taken, "{value}");
        }
    }

    #[test]
    fn a_request_has_an_authority_and_an_absolute_path() {
        assert!(is_well_formed(&request(&[])));
        let bare = Request::get("/x").body(()).expect("a request");
        assert!(!is_well_formed(&bare));
        let host = Request::get("/x").header("host", "a").body(()).expect("a request");
        assert!(is_well_formed(&host));
        let user = Request::get("http://u@a.example/").body(()).expect("a request");
        assert!(!is_well_formed(&user));
        let star = Request::get("*").header("host", "a").body(()).expect("a request");
        assert!(!is_well_formed(&star));
    }
}
