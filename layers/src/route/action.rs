//! What a route does with a request that it matched.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::Pattern;

/// A change of the path on its way upstream.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields say it
pub enum PathRewrite {
    /// Replace the matched prefix (for an exact match: the whole path).
    Prefix(String),
    /// Replace every match in the path; `\1` names a group.
    Regex { pattern: Pattern, substitution: String },
}

/// A change of the authority on its way upstream.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields say it
pub enum HostRewrite {
    /// This value.
    Literal(HeaderValue),
    /// The host name of the endpoint (DNS clusters only).
    Auto,
    /// The value of a request header.
    Header(HeaderName),
    /// The path, by a regular expression (`host_rewrite_path_regex`).
    PathRegex { pattern: Pattern, substitution: String },
}

/// Answer with a redirect.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// Default 301.
    pub code: StatusCode,
    /// `https_redirect` or `scheme_redirect`.
    pub scheme: Option<String>,
    /// Another host.
    pub host: Option<String>,
    /// Another port.
    pub port: Option<u16>,
    /// Another path.
    pub path: Option<RedirectPath>,
    /// Leave the query out.
    pub strip_query: bool,
}

/// How a redirect changes the path.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields say it
pub enum RedirectPath {
    /// This path; one with a query replaces the query as well.
    Full(String),
    /// Another prefix.
    Prefix(String),
    /// By a regular expression.
    Regex { pattern: Pattern, substitution: String },
}

/// Answer with a fixed response.
#[derive(Clone, Debug)]
pub struct DirectResponse {
    /// The status.
    pub status: StatusCode,
    /// The body; empty where none was given.
    pub body: Bytes,
}

/// Which protocols other than HTTP a request may switch to (`upgrade_configs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeRule {
    /// `websocket`, `CONNECT` ... compared without case.
    pub upgrade_type: String,
    /// Default `true`.
    pub enabled: bool,
    /// `connect_config` is given: a CONNECT request ends here and becomes a TCP tunnel.
    pub connect_tcp: bool,
}

/// What of the request picks the endpoint under a hashing balancer (`hash_policy`).
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields say it
pub enum HashPolicy {
    /// A header's value.
    Header { name: HeaderName, terminal: bool },
    /// The peer's address.
    SourceIp { terminal: bool },
    /// A query parameter.
    Query { name: String, terminal: bool },
    /// A cookie, made with this life time and path where absent and `ttl` is given.
    Cookie { name: String, ttl: Option<Duration>, path: String, terminal: bool },
}

/// How a header is put into a message (`HeaderAppendAction`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendAction {
    /// Add a line.
    #[default]
    AppendIfExistsOrAdd,
    /// Only where it is absent.
    AddIfAbsent,
    /// Replace, or add.
    OverwriteIfExistsOrAdd,
    /// Replace where it is present.
    OverwriteIfExists,
}

/// A header to add; its value is a format with `%COMMAND%`s (see [`format`](crate::format)).
#[derive(Clone, Debug)]
pub struct HeaderAdd {
    /// The header; `:path`, `:authority` and other pseudo headers are refused at load.
    pub name: HeaderName,
    /// The format text, not yet compiled.
    pub value: String,
    /// How.
    pub action: AppendAction,
    /// Add it although its value came out empty.
    pub keep_empty_value: bool,
}

/// Changes of headers at one level: route, virtual host or route table.
#[derive(Clone, Debug, Default)]
pub struct HeaderEdits {
    /// Added to requests.
    pub request_add: Vec<HeaderAdd>,
    /// Removed from requests.
    pub request_remove: Vec<HeaderName>,
    /// Added to responses.
    pub response_add: Vec<HeaderAdd>,
    /// Removed from responses.
    pub response_remove: Vec<HeaderName>,
}

/// Methods for which a request without content does not say so, as Envoy's codec has it.
pub(crate) fn is_bodiless(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::TRACE | Method::CONNECT)
}
