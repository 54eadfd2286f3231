//! What a route table looks at: the parts of a request, borrowed.

use http::header::{HOST, HeaderName};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Uri};

use crate::headers;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const INTERNAL: HeaderName = HeaderName::from_static("x-envoy-internal");

/// A request as a route table sees it.
///
/// ```
/// use front_proxy_layers::route::RequestView;
///
/// let (parts, ()) = http::Request::get("/a?b=1").header("host", "front.example").body(())?.into_parts();
/// let view = RequestView::of(&parts, 7);
/// assert_eq!((view.path(), view.query()), (Some("/a"), Some("b=1")));
/// assert_eq!((view.authority, view.scheme, view.random), ("front.example", "http", 7));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'r> {
    /// The method.
    pub method: &'r Method,
    /// Path and query as sent; `None` for a CONNECT to an authority.
    pub path_and_query: Option<&'r str>,
    /// Host and port as sent.
    pub authority: &'r str,
    /// `:scheme`
    pub scheme: &'r str,
    /// How the client came, as `x-forwarded-proto` says: what `require_tls` goes by.
    pub forwarded_proto: &'r str,
    /// All headers.
    pub headers: &'r HeaderMap,
    /// A number drawn for this request; fractions and weighted clusters share it, as in Envoy.
    pub random: u64,
}

impl<'r> RequestView<'r> {
    /// Reads a request's head. The authority is the URI's, else the `host` header's; the scheme is
    /// the URI's, else `x-forwarded-proto` where that is one of HTTP's, else `http`. A server that
    /// knows better sets the fields.
    pub fn of(parts: &'r Parts, random: u64) -> Self {
        Self::new(&parts.method, &parts.uri, &parts.headers, random)
    }

    /// The same of a head that is not in parts.
    pub(crate) fn new(
        method: &'r Method,
        uri: &'r Uri,
        headers: &'r HeaderMap,
        random: u64,
    ) -> Self {
        let forwarded_proto = forwarded_proto(headers);
        let scheme = scheme_by(uri, forwarded_proto);
        Self {
            method,
            path_and_query: uri.path_and_query().map(PathAndQuery::as_str),
            authority: authority_of(uri, headers),
            scheme,
            forwarded_proto: forwarded_proto.unwrap_or(scheme),
            headers,
            random,
        }
    }

    /// The path without query and fragment.
    pub fn path(&self) -> Option<&'r str> {
        self.path_and_query.map(path_of)
    }

    /// What follows the first `?`.
    pub fn query(&self) -> Option<&'r str> {
        let (_, query) = self.path_and_query?.split_once('?')?;
        Some(query)
    }

    /// Whether `x-envoy-internal` marks the request as one from inside.
    pub fn is_internal(&self) -> bool {
        is_internal(self.headers)
    }
}

/// Whether `x-envoy-internal` marks a request as one from inside.
pub(crate) fn is_internal(headers: &HeaderMap) -> bool {
    headers::find(headers, &INTERNAL).is_some_and(|value| value.as_bytes() == b"true")
}

/// Host and port of a request: the URI's, else the `host` header's, else empty.
pub(crate) fn authority_of<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> &'r str {
    if let Some(authority) = uri.authority() {
        return authority.as_str();
    }
    headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The URI's scheme, else `x-forwarded-proto` where that is one of HTTP's, else `http`.
pub(crate) fn scheme_of<'r>(uri: &'r Uri, headers: &HeaderMap) -> &'r str {
    scheme_by(uri, forwarded_proto(headers))
}

fn scheme_by<'r>(uri: &'r Uri, forwarded_proto: Option<&str>) -> &'r str {
    uri.scheme_str().unwrap_or(match forwarded_proto {
        Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
        _ => "http",
    })
}

/// `x-forwarded-proto`, where it is text.
pub(crate) fn forwarded_proto(headers: &HeaderMap) -> Option<&str> {
    headers.get(FORWARDED_PROTO).and_then(|value| value.to_str().ok())
}

/// The first parameter of this name in a query; one without `=` has an empty value. Nothing is
/// percent-decoded, and what stands between two `&&` is no parameter.
pub(crate) fn query_parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    parameters(query).find_map(|(key, value)| (key == name).then_some(value))
}

/// Names and values of a query, as they are written.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let given = query.split('&').filter(|parameter| !parameter.is_empty());
    given.map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
}

/// A path without query and fragment.
pub(super) fn path_of(path_and_query: &str) -> &str {
    let end = path_and_query
        .bytes()
        .position(|b| matches!(b, b'?' | b'#'))
        .unwrap_or(path_and_query.len());
    &path_and_query[..end]
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn the_scheme_is_one_of_http() {
        for (target, proto, scheme, forwarded) in [
            ("/", None, "http", "http"),
            ("/", Some("https"), "https", "https"),
            ("/", Some("HTTPS"), "https", "HTTPS"),
            ("/", Some("gopher"), "http", "gopher"),
            ("https://h/", None, "https", "https"),
            ("http://h/", Some("https"), "http", "https"),
        ] {
            let mut request = Request::get(target);
            if let Some(proto) = proto {
                request = request.header("x-forwarded-proto", proto);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let view = RequestView::of(&parts, 0);
            assert_eq!((view.scheme, view.forwarded_proto), (scheme, forwarded));
        }
    }

    #[test]
    fn path_and_query_part_at_the_first_question_mark() {
        for (target, path, query) in
            [("/a?b?c", "/a", Some("b?c")), ("/a", "/a", None), ("/a?", "/a", Some(""))]
        {
            let (parts, ()) = Request::get(target).body(()).unwrap().into_parts();
            let view = RequestView::of(&parts, 0);
            assert_eq!((view.path(), view.query()), (Some(path), query));
        }
        assert_eq!(path_of("/a#b?c"), "/a");
    }
}
