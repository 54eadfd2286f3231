//! What a route asks of a request: its path, headers and query.
//!
//! ```
//! use front_proxy_layers::route::StringMatch;
//!
//! let json = StringMatch::Suffix { value: "+json".into(), ignore_case: true };
//! assert!(json.matches(b"application/problem+JSON"));
//! assert!(!json.matches(b"text/html"));
//! ```

use http::{HeaderMap, HeaderName, Method, header};

use super::Pattern;
#[cfg(feature = "regex")]
use super::PatternError;
use super::view::{RequestView, query_parameter};
use crate::headers::{self, Side};
use crate::runtime::RuntimeFraction;

/// A match on one piece of text (Envoy's `StringMatcher`).
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields say it
pub enum StringMatch {
    /// The whole text.
    Exact { value: String, ignore_case: bool },
    /// Its beginning.
    Prefix { value: String, ignore_case: bool },
    /// Its end.
    Suffix { value: String, ignore_case: bool },
    /// Anywhere in it.
    Contains { value: String, ignore_case: bool },
    /// The whole text, by a regular expression that is anchored on both sides.
    Regex(Pattern),
}

impl StringMatch {
    /// Whether `value` matches. Case is ignored in ASCII only, as in Envoy.
    pub fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact { value: want, ignore_case } => same(value, want, *ignore_case),
            Self::Prefix { value: want, ignore_case } => {
                value.get(..want.len()).is_some_and(|start| same(start, want, *ignore_case))
            }
            Self::Suffix { value: want, ignore_case } => value
                .len()
                .checked_sub(want.len())
                .is_some_and(|from| same(&value[from..], want, *ignore_case)),
            Self::Contains { value: want, ignore_case } => {
                want.is_empty()
                    || value.windows(want.len()).any(|part| same(part, want, *ignore_case))
            }
            Self::Regex(regex) => std::str::from_utf8(value).is_ok_and(|v| regex.is_match(v)),
        }
    }
}

fn same(value: &[u8], want: &str, ignore_case: bool) -> bool {
    if ignore_case { value.eq_ignore_ascii_case(want.as_bytes()) } else { value == want.as_bytes() }
}

/// A match on a header (Envoy's `HeaderMatcher`).
#[derive(Clone, Debug)]
pub struct HeaderMatch {
    /// Which header; `:method`, `:path`, `:authority` and `:scheme` name the pseudo headers.
    pub name: HeaderMatchName,
    /// What is asked of it.
    pub rule: HeaderRule,
    /// Match where the rule does not.
    pub invert: bool,
    /// An absent header is an empty one; otherwise an absent header never matches, inverted or not
    /// (but for [`HeaderRule::Present`]).
    pub treat_missing_as_empty: bool,
}

/// The header that a [`HeaderMatch`] looks at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HeaderMatchName {
    /// `:method`
    Method,
    /// `:path`, with the query
    Path,
    /// `:authority` (HTTP/1: `host`)
    Authority,
    /// `:scheme`
    Scheme,
    /// Any other. Of several lines one has to match; those of a header that Envoy keeps as one
    /// (`accept`, `content-type`, `x-forwarded-for` ...) are joined by commas first.
    Header(HeaderName),
}

impl HeaderMatch {
    /// Whether the request's header is as asked.
    pub fn matches(&self, request: &RequestView<'_>) -> bool {
        match &self.name {
            HeaderMatchName::Method => self.matches_one(Some(request.method.as_str())),
            HeaderMatchName::Path => self.matches_one(request.path_and_query),
            HeaderMatchName::Authority => self.matches_one(Some(request.authority)),
            HeaderMatchName::Scheme => self.matches_one(Some(request.scheme)),
            // `host` is the authority's legacy name (HTTP/2 requests have no such line at all).
            HeaderMatchName::Header(name) if *name == header::HOST => {
                self.matches_one(Some(request.authority))
            }
            HeaderMatchName::Header(name) => self.matches_header(name, request.headers),
        }
    }

    /// The same against a bare header map (a response's, say), where pseudo headers are absent.
    pub fn matches_map(&self, map: &HeaderMap) -> bool {
        match &self.name {
            HeaderMatchName::Header(name) => self.matches_header(name, map),
            _ => self.matches_one(None),
        }
    }

    fn matches_one(&self, value: Option<&str>) -> bool {
        self.decide(value.is_some(), |rule| value.is_some_and(|v| rule.matches_value(v.as_bytes())))
    }

    fn matches_header(&self, name: &HeaderName, map: &HeaderMap) -> bool {
        self.decide(map.contains_key(name), |rule| {
            if let Some(joined) = headers::joined_if_single(Side::Request, map, name) {
                return rule.matches_value(&joined);
            }
            map.get_all(name).iter().any(|value| rule.matches_value(value.as_bytes()))
        })
    }

    fn decide(&self, is_there: bool, any_matches: impl FnOnce(&HeaderRule) -> bool) -> bool {
        let found = match &self.rule {
            HeaderRule::Present(wanted) => (is_there || self.treat_missing_as_empty) == *wanted,
            _ if is_there => any_matches(&self.rule),
            rule if self.treat_missing_as_empty => rule.matches_value(b""),
            // Not even inverted: "is not X" asks for a header that is there.
            _ => return false,
        };
        found != self.invert
    }
}

impl HeaderRule {
    fn matches_value(&self, value: &[u8]) -> bool {
        match self {
            Self::Present(wanted) => *wanted,
            Self::Value(text) => text.matches(value),
            Self::Range { start, end } => std::str::from_utf8(value)
                .ok()
                .and_then(|v| v.trim().parse::<i64>().ok())
                .is_some_and(|number| (*start..*end).contains(&number)),
        }
    }
}

/// What is asked of a header.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields say it
pub enum HeaderRule {
    /// It is there (`true`) or not (`false`).
    Present(bool),
    /// Its value.
    Value(StringMatch),
    /// Its value as a whole number in `start..end`.
    Range { start: i64, end: i64 },
}

/// A match on a query parameter (Envoy's `QueryParameterMatcher`); the first one of its name counts.
#[derive(Clone, Debug)]
pub struct QueryMatch {
    /// The parameter.
    pub name: String,
    /// What is asked of it.
    pub rule: QueryRule,
}

/// What is asked of a query parameter.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum QueryRule {
    /// It is there (`true`) or not (`false`).
    Present(bool),
    /// Its value.
    Value(StringMatch),
}

impl QueryMatch {
    /// Whether the first parameter of this name is as asked. Nothing is percent-decoded, neither
    /// name nor value: `?a=%31` is not `a=1`.
    pub fn matches(&self, query: Option<&str>) -> bool {
        let value = query.and_then(|query| query_parameter(query, &self.name));
        match &self.rule {
            QueryRule::Present(wanted) => value.is_some() == *wanted,
            QueryRule::Value(text) => value.is_some_and(|v| text.matches(v.as_bytes())),
        }
    }
}

/// A match on the path, without the query.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PathMatch {
    /// The path begins with these characters: `/service/1` matches `/service/10` too.
    Prefix(String),
    /// The path is this or goes on with a `/` (`path_separated_prefix`).
    SegmentPrefix(String),
    /// The path is this.
    Exact(String),
    /// The whole path, by a regular expression that is anchored on both sides.
    Regex(Pattern),
    /// A CONNECT request.
    Connect,
}

impl PathMatch {
    /// Whether the request's path matches. Without a path (CONNECT to an authority) only
    /// [`PathMatch::Connect`] does.
    pub fn matches(&self, request: &RequestView<'_>, case_sensitive: bool) -> bool {
        self.matches_path(request, request.path(), case_sensitive)
    }

    /// As [`matches`](Self::matches), with the path already taken from the request.
    fn matches_path(
        &self,
        request: &RequestView<'_>,
        path: Option<&str>,
        case_sensitive: bool,
    ) -> bool {
        if let Self::Connect = self {
            return *request.method == Method::CONNECT;
        }
        let Some(path) = path else {
            return false;
        };
        match self {
            Self::Prefix(prefix) => begins(path, prefix, !case_sensitive),
            Self::SegmentPrefix(prefix) => {
                begins(path, prefix, !case_sensitive)
                    && matches!(path.as_bytes().get(prefix.len()), None | Some(b'/'))
            }
            Self::Exact(whole) => same(path.as_bytes(), whole, !case_sensitive),
            Self::Regex(regex) => regex.is_match(path),
            Self::Connect => false,
        }
    }
}

fn begins(path: &str, prefix: &str, ignore_case: bool) -> bool {
    path.as_bytes().get(..prefix.len()).is_some_and(|start| same(start, prefix, ignore_case))
}

/// A fraction of requests, drawn anew for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    /// Parts of the denominator.
    pub numerator: u32,
    /// 100, 10 000 or 1 000 000.
    pub denominator: u32,
}

impl Fraction {
    /// Every request.
    pub const ALL: Self = Self { numerator: 100, denominator: 100 };
    /// No request.
    pub const NONE: Self = Self { numerator: 0, denominator: 100 };

    /// Whether a request, for which a number is drawn now, belongs to the fraction.
    pub fn draw(self) -> bool {
        self.takes(fastrand::u64(..))
    }

    /// Whether a request that drew this number belongs to the fraction.
    pub fn takes(self, random: u64) -> bool {
        // A denominator of 0 is no fraction at all.
        random
            .checked_rem(u64::from(self.denominator))
            .is_some_and(|drawn| drawn < u64::from(self.numerator))
    }
}

/// All that a route asks of a request (Envoy's `RouteMatch`). Every part must match.
#[derive(Clone, Debug)]
pub struct RouteMatch {
    /// The path.
    pub path: PathMatch,
    /// Whether prefix and exact path matches tell `a` from `A`. Default `true`.
    pub case_sensitive: bool,
    /// Headers.
    pub headers: Vec<HeaderMatch>,
    /// Query parameters.
    pub query: Vec<QueryMatch>,
    /// Only gRPC requests (`content-type: application/grpc`, alone or with `+` and a format).
    pub grpc: bool,
    /// Only so many of the requests.
    pub fraction: Option<RuntimeFraction>,
}

impl RouteMatch {
    /// Requests whose path begins with these characters: `/service/1` matches `/service/10` too.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self::new(PathMatch::Prefix(prefix.into()))
    }

    /// Requests for this path and what is below it: `/service/1` matches `/service/1/x`, not
    /// `/service/10`.
    pub fn below(path: impl Into<String>) -> Self {
        Self::new(PathMatch::SegmentPrefix(path.into()))
    }

    /// Requests for this path.
    pub fn exact(path: impl Into<String>) -> Self {
        Self::new(PathMatch::Exact(path.into()))
    }

    /// Requests whose whole path matches a regular expression.
    ///
    /// # Errors
    ///
    /// It is none.
    #[cfg(feature = "regex")]
    pub fn regex(pattern: &str) -> Result<Self, PatternError> {
        Pattern::whole(pattern).map(|pattern| Self::new(PathMatch::Regex(pattern)))
    }

    /// Of these, only those with this method.
    ///
    /// ```
    /// use front_proxy_layers::route::{RequestView, RouteMatch};
    /// use http::{Method, Request};
    ///
    /// let uploads = RouteMatch::below("/files").method(Method::PUT);
    /// let (put, ()) = Request::put("/files/1").body(()).unwrap().into_parts();
    /// assert!(uploads.matches(&RequestView::of(&put, 0)));
    /// let (get, ()) = Request::get("/files/1").body(()).unwrap().into_parts();
    /// assert!(!uploads.matches(&RequestView::of(&get, 0)));
    /// ```
    #[must_use]
    pub fn method(self, method: Method) -> Self {
        self.and(HeaderMatchName::Method, method.as_str().to_owned())
    }

    /// Of these, only those with a header of this value.
    #[must_use]
    pub fn header(self, name: HeaderName, value: impl Into<String>) -> Self {
        self.and(HeaderMatchName::Header(name), value.into())
    }

    fn and(mut self, name: HeaderMatchName, value: String) -> Self {
        let rule = HeaderRule::Value(StringMatch::Exact { value, ignore_case: false });
        self.headers.push(HeaderMatch { name, rule, invert: false, treat_missing_as_empty: false });
        self
    }

    /// A match on the path alone.
    pub fn new(path: PathMatch) -> Self {
        Self {
            path,
            case_sensitive: true,
            headers: Vec::new(),
            query: Vec::new(),
            grpc: false,
            fraction: None,
        }
    }

    /// Whether the request is as asked in every part.
    pub fn matches(&self, request: &RequestView<'_>) -> bool {
        self.matches_path(request, request.path())
    }

    /// As [`matches`](Self::matches), with the path already taken from the request. It goes first:
    /// it is what tells most routes apart.
    #[inline]
    pub(super) fn matches_path(&self, request: &RequestView<'_>, path: Option<&str>) -> bool {
        self.path.matches_path(request, path, self.case_sensitive)
            && self.fraction.as_ref().is_none_or(|part| part.takes(request.random))
            && (!self.grpc || is_grpc(request.headers))
            && self.headers.iter().all(|header| header.matches(request))
            && (self.query.is_empty() || {
                let query = request.query();
                self.query.iter().all(|parameter| parameter.matches(query))
            })
    }
}

/// The text is a prefix of the path.
impl From<&str> for RouteMatch {
    fn from(prefix: &str) -> Self {
        Self::prefix(prefix)
    }
}

/// The text is a prefix of the path.
impl From<String> for RouteMatch {
    fn from(prefix: String) -> Self {
        Self::prefix(prefix)
    }
}

impl From<PathMatch> for RouteMatch {
    fn from(path: PathMatch) -> Self {
        Self::new(path)
    }
}

/// Whether the `content-type` says gRPC: `application/grpc`, alone or with `+` and a format.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
}

#[cfg(all(test, feature = "regex"))]
mod tests;
