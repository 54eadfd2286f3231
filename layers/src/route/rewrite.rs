//! Changing path and host of a request on its way upstream.
//!
//! A [`RequestRewrite`] is compiled from a route's config and applied to each of its requests. It
//! keeps the query, and tells the upstream what was there before in `x-envoy-original-path` and
//! `x-envoy-original-host`.
//!
//! ```
//! use front_proxy_layers::route::{PathMatch, PathRewrite, RequestRewrite};
//!
//! let rewrite = RequestRewrite::new(Some(PathRewrite::Prefix("/".into())), None)?;
//! let (mut parts, ()) = http::Request::get("/api/v1/x?y=1").body(())?.into_parts();
//! rewrite.apply(&PathMatch::Prefix("/api/".into()), &mut parts)?;
//! assert_eq!(parts.uri, "/v1/x?y=1");
//! assert_eq!(parts.headers["x-envoy-original-path"], "/api/v1/x?y=1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::error::Error;
use std::fmt;

use http::header::{HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Uri};

use super::Pattern;
use super::action::{HostRewrite, PathRewrite};
use super::matching::PathMatch;
use super::substitution::{Substitution, SubstitutionError};
use super::view::path_of;
use crate::{headers, uri_path};

const ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");
const ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-envoy-original-host");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Changes of path and host, compiled. The default changes nothing.
#[derive(Clone, Debug, Default)]
pub struct RequestRewrite {
    path: Option<PathChange>,
    host: Option<HostChange>,
    options: HostOptions,
}

#[derive(Clone, Debug)]
pub(super) enum PathChange {
    Prefix(String),
    Regex(Pattern, Substitution),
}

#[derive(Clone, Debug)]
enum HostChange {
    Literal(HostName),
    Auto,
    Header(HeaderName),
    PathRegex(Pattern, Substitution),
}

/// What goes with a change of the host.
#[derive(Clone, Copy, Debug)]
pub struct HostOptions {
    /// Tell the upstream the old host in `x-envoy-original-host` (and the old path in
    /// `x-envoy-original-path`). Default `true`; `suppress_envoy_headers` of the router unsets it.
    pub keep_original: bool,
    /// Append the old host to `x-forwarded-host`. Default `false`.
    pub append_x_forwarded_host: bool,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self { keep_original: true, append_x_forwarded_host: false }
    }
}

/// What became of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum HostOutcome {
    /// It is the client's.
    Kept,
    /// It was replaced.
    Replaced,
    /// The cluster replaces it by the name of the endpoint it picks: see [`HostName::replace`].
    Auto,
}

impl RequestRewrite {
    /// Compiles the changes of a route.
    ///
    /// # Errors
    ///
    /// A substitution names a group that its pattern lacks, or can't be read; a host is none.
    pub fn new(
        path: Option<PathRewrite>,
        host: Option<HostRewrite>,
    ) -> Result<Self, RewriteConfigError> {
        Ok(Self {
            path: path.map(PathChange::new).transpose()?,
            host: host.map(HostChange::new).transpose()?,
            options: HostOptions::default(),
        })
    }

    /// Puts this in place of the prefix that was matched, or of the whole path where that was, beside
    /// what else is changed.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.path = Some(PathChange::Prefix(prefix.into()));
        self
    }

    /// Makes this the host, beside what else is changed.
    #[must_use]
    pub fn host(mut self, host: HostName) -> Self {
        self.host = Some(HostChange::Literal(host));
        self
    }

    /// Sets what goes with the changes.
    #[must_use]
    pub fn options(mut self, options: HostOptions) -> Self {
        self.options = options;
        self
    }

    /// The options, for a host that is replaced later.
    pub fn host_options(&self) -> HostOptions {
        self.options
    }

    /// Changes a request that `matched` took. The host goes first: it may be made of the path.
    ///
    /// # Errors
    ///
    /// The path has become longer than 64 KiB.
    pub fn apply(
        &self,
        matched: &PathMatch,
        parts: &mut Parts,
    ) -> Result<HostOutcome, PathTooLong> {
        let host = match &self.host {
            None => HostOutcome::Kept,
            Some(HostChange::Auto) => HostOutcome::Auto,
            Some(change) => match change.host(parts) {
                Some(name) => {
                    name.replace(parts, self.options);
                    HostOutcome::Replaced
                }
                None => HostOutcome::Kept,
            },
        };
        if let Some(change) = &self.path {
            change.change(matched, parts, self.options.keep_original)?;
        }
        Ok(host)
    }
}

impl PathChange {
    /// Changes the path of a request, and tells the upstream (or the log) the old one where that is
    /// `kept`.
    pub(super) fn change(
        &self,
        matched: &PathMatch,
        parts: &mut Parts,
        kept: bool,
    ) -> Result<(), PathTooLong> {
        let Some(old) = parts.uri.path_and_query() else {
            return Ok(());
        };
        let Some(new) = self.apply(matched, old.as_str()) else {
            return Ok(());
        };
        let new = uri_path::path_and_query(new).ok_or(PathTooLong)?;
        if kept && let Ok(old) = HeaderValue::from_bytes(old.as_str().as_bytes()) {
            parts.headers.insert(ORIGINAL_PATH, old);
        }
        set_path(&mut parts.uri, new);
        Ok(())
    }

    pub(super) fn new(config: PathRewrite) -> Result<Self, SubstitutionError> {
        Ok(match config {
            PathRewrite::Prefix(prefix) => Self::Prefix(prefix),
            PathRewrite::Regex { pattern, substitution } => {
                let substitution = Substitution::parse(&substitution, &pattern)?;
                Self::Regex(pattern, substitution)
            }
        })
    }

    /// The new path with the old query; `None` leaves it. Nothing is repaired: a prefix `/a`
    /// replaced by `/` makes `//b` of `/a/b`, as in Envoy.
    pub(super) fn apply(&self, matched: &PathMatch, path_and_query: &str) -> Option<String> {
        let path = path_of(path_and_query);
        let (new, rest) = match self {
            Self::Prefix(new) => {
                let replaced = match matched {
                    PathMatch::Prefix(prefix) | PathMatch::SegmentPrefix(prefix) => prefix.len(),
                    PathMatch::Exact(_) | PathMatch::Regex(_) | PathMatch::Connect => path.len(),
                };
                let mut all = String::with_capacity(new.len() + path_and_query.len());
                all.push_str(new);
                (all, path_and_query.get(replaced..)?)
            }
            Self::Regex(pattern, substitution) => {
                (substitution.replace_all(pattern, path), &path_and_query[path.len()..])
            }
        };
        // Envoy takes an empty result for no rewrite.
        (!new.is_empty()).then(|| new + rest)
    }
}

impl HostChange {
    fn new(config: HostRewrite) -> Result<Self, RewriteConfigError> {
        Ok(match config {
            HostRewrite::Literal(value) => {
                Self::Literal(HostName::new(value).ok_or(RewriteConfigError::Host)?)
            }
            HostRewrite::Auto => Self::Auto,
            HostRewrite::Header(name) => Self::Header(name),
            HostRewrite::PathRegex { pattern, substitution } => {
                let substitution = Substitution::parse(&substitution, &pattern)?;
                Self::PathRegex(pattern, substitution)
            }
        })
    }

    /// The new host, if it is not empty. Made of what the client sent, it may be one that no host
    /// has: that is for the upstream to judge.
    fn host(&self, parts: &Parts) -> Option<HostName> {
        let made = match self {
            Self::Literal(host) => return Some(host.clone()),
            Self::Auto => return None,
            Self::Header(name) => parts.headers.get(name)?.clone(),
            Self::PathRegex(pattern, substitution) => {
                let host = substitution.replace_all(pattern, parts.uri.path());
                HeaderValue::try_from(host).ok()?
            }
        };
        (!made.is_empty()).then(|| HostName::any(made))
    }
}

/// A host, with or without port, that can be put into requests.
///
/// ```
/// use front_proxy_layers::route::rewrite::{HostName, HostOptions};
///
/// let inner = HostName::new("inner.example".parse()?).ok_or("not a host")?;
/// let (mut parts, ()) = http::Request::get("/").header("host", "front.example").body(())?.into_parts();
/// inner.replace(&mut parts, HostOptions { append_x_forwarded_host: true, ..Default::default() });
/// assert_eq!(parts.headers["host"], "inner.example");
/// assert_eq!(parts.headers["x-envoy-original-host"], "front.example");
/// assert_eq!(parts.headers["x-forwarded-host"], "front.example");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct HostName {
    header: HeaderValue,
    /// `None` where a URI can't carry it.
    authority: Option<Authority>,
}

impl HostName {
    /// Takes a value that can be an authority.
    pub fn new(value: HeaderValue) -> Option<Self> {
        Some(Self::any(value)).filter(|name| name.authority.is_some())
    }

    fn any(value: HeaderValue) -> Self {
        Self { authority: Authority::try_from(value.as_bytes()).ok(), header: value }
    }

    /// Makes this the request's host, in the `host` header and, where it has one, in the URI.
    pub fn replace(&self, parts: &mut Parts, options: HostOptions) {
        let old = match parts.uri.authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            None => parts.headers.get(HOST).cloned(),
        };
        if let Some(old) = old {
            if options.append_x_forwarded_host && !old.is_empty() {
                append_forwarded_host(parts, &old);
            }
            if options.keep_original && !old.is_empty() {
                parts.headers.insert(ORIGINAL_HOST, old);
            }
        }
        parts.headers.insert(HOST, self.header.clone());
        if parts.uri.authority().is_some() {
            let mut pieces = parts.uri.clone().into_parts();
            pieces.authority = self.authority.clone();
            if self.authority.is_none() {
                pieces.scheme = None;
            }
            if let Ok(uri) = Uri::from_parts(pieces) {
                parts.uri = uri;
            }
        }
    }
}

/// Appends to `x-forwarded-host` unless the host is its last entry already: a retry or a second
/// proxy pass must not repeat it.
fn append_forwarded_host(parts: &mut Parts, host: &HeaderValue) {
    let last = parts.headers.get_all(FORWARDED_HOST).iter().next_back();
    let last = last.and_then(|line| line.as_bytes().rsplit(|b| *b == b',').next());
    if last != Some(host.as_bytes()) {
        headers::append_to_list(&mut parts.headers, &FORWARDED_HOST, host, ",");
    }
}

fn set_path(uri: &mut Uri, path: PathAndQuery) {
    let mut pieces = uri.clone().into_parts();
    pieces.path_and_query = Some(path);
    if let Ok(new) = Uri::from_parts(pieces) {
        *uri = new;
    }
}

/// What is wrong with the config of a rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RewriteConfigError {
    /// The literal host is none.
    Host,
    /// The substitution does not fit its pattern.
    Substitution(SubstitutionError),
}

impl fmt::Display for RewriteConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("not a host name"),
            Self::Substitution(error) => error.fmt(f),
        }
    }
}

impl Error for RewriteConfigError {}

impl From<SubstitutionError> for RewriteConfigError {
    fn from(error: SubstitutionError) -> Self {
        Self::Substitution(error)
    }
}

/// A rewrite made a path of more than 64 KiB. The request must not go on with its old path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathTooLong;

impl fmt::Display for PathTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rewritten path is too long")
    }
}

impl Error for PathTooLong {}

#[cfg(all(test, feature = "regex"))]
mod tests;
