//! What a route asks of a request: its path, headers and query.

use http::HeaderName;
use regex::Regex;

/// A match on one piece of text (Envoy's `StringMatcher`).
#[derive(Clone, Debug)]
#[non_exhaustive]
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
    Regex(Regex),
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
    /// Any other. Several lines of it are joined by commas.
    Header(HeaderName),
}

/// What is asked of a header.
#[derive(Clone, Debug)]
#[non_exhaustive]
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
    Regex(Regex),
    /// A CONNECT request.
    Connect,
}

/// A fraction of requests, drawn anew for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    /// Parts of the denominator.
    pub numerator: u32,
    /// 100, 10 000 or 1 000 000.
    pub denominator: u32,
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
    pub fraction: Option<Fraction>,
}
