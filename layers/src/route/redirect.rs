//! Answers that send the client elsewhere.
//!
//! ```
//! use front_proxy_layers::route::{PathMatch, Redirect, Redirector, RequestView};
//!
//! let redirector = Redirector::new(Redirect { scheme: Some("https".into()), ..Redirect::default() })?;
//! let (parts, ()) = http::Request::get("/a?b=1").header("host", "front.example:80").body(())?.into_parts();
//! let response = redirector.reply(&PathMatch::Prefix("/".into()), &RequestView::of(&parts, 0));
//! assert_eq!(response.status(), 301);
//! assert_eq!(response.headers()["location"], "https://front.example/a?b=1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use http::header::{HeaderValue, LOCATION};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};

use super::action::{PathRewrite, Redirect, RedirectPath};
use super::matching::PathMatch;
use super::rewrite::PathChange;
use super::substitution::SubstitutionError;
use super::table::split_port;
use super::view::{RequestView, path_of};
use crate::uri_path;

/// A redirect, compiled.
#[derive(Clone, Debug)]
pub struct Redirector {
    code: StatusCode,
    scheme: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    path: NewPath,
    strip_query: bool,
}

#[derive(Clone, Debug)]
enum NewPath {
    Same,
    Full(String),
    Changed(PathChange),
}

impl Redirector {
    /// Compiles a redirect.
    ///
    /// # Errors
    ///
    /// Its substitution names a group that the pattern lacks, or can't be read.
    pub fn new(config: Redirect) -> Result<Self, SubstitutionError> {
        let path = match config.path {
            None => NewPath::Same,
            Some(RedirectPath::Full(path)) if path.starts_with('/') => NewPath::Full(path),
            // Envoy adds what is missing.
            Some(RedirectPath::Full(path)) => NewPath::Full(format!("/{path}")),
            Some(RedirectPath::Prefix(prefix)) if prefix.is_empty() => NewPath::Same,
            Some(RedirectPath::Prefix(prefix)) => {
                NewPath::Changed(PathChange::new(PathRewrite::Prefix(prefix))?)
            }
            Some(RedirectPath::Regex { pattern, substitution }) => {
                NewPath::Changed(PathChange::new(PathRewrite::Regex { pattern, substitution })?)
            }
        };
        Ok(Self {
            code: config.code,
            scheme: config.scheme,
            host: config.host,
            port: config.port,
            path,
            strip_query: config.strip_query,
        })
    }

    /// The answer to a request that `matched` took: a status and a `location`, without a body.
    pub fn reply(&self, matched: &PathMatch, request: &RequestView<'_>) -> Response<()> {
        response(self.code, self.location(matched, request))
    }

    /// Where the request is sent.
    pub fn location(&self, matched: &PathMatch, request: &RequestView<'_>) -> String {
        let scheme = self.scheme.as_deref().unwrap_or(request.scheme);
        let host = match &self.host {
            Some(host) => host,
            None => host_of(request, scheme, self.port.is_none()),
        };
        let mut location = format!("{scheme}://{host}");
        if let Some(port) = self.port {
            location.push_str(&format!(":{port}"));
        }
        self.push_path(&mut location, matched, request.path_and_query.unwrap_or("/"));
        location
    }

    /// Changes the request's own path as its location's was, if that was a rewrite: Envoy does so,
    /// and logs show it.
    pub(crate) fn rewrite(&self, matched: &PathMatch, parts: &mut Parts, keep_original: bool) {
        if let NewPath::Changed(change) = &self.path {
            // What is too long to be a path stays as it was.
            let _ = change.change(matched, parts, keep_original);
        }
    }

    fn push_path(&self, location: &mut String, matched: &PathMatch, old: &str) {
        let changed = match &self.path {
            NewPath::Full(path) => {
                location.push_str(path);
                // A query of its own replaces the request's, and is never stripped.
                if !path.contains('?') && !self.strip_query {
                    location.push_str(&old[path_of(old).len()..]);
                }
                return;
            }
            NewPath::Same => None,
            NewPath::Changed(change) => change.apply(matched, old),
        };
        let path = changed.as_deref().unwrap_or(old);
        if !path.starts_with('/') {
            // Or the path would go on where the host ends.
            location.push('/');
        }
        location.push_str(if self.strip_query { path_of(path) } else { path });
    }
}

impl Default for Redirect {
    /// A 301 that changes nothing.
    fn default() -> Self {
        Self {
            code: StatusCode::MOVED_PERMANENTLY,
            scheme: None,
            host: None,
            port: None,
            path: None,
            strip_query: false,
        }
    }
}

/// The request's host. Its port goes where another is named, or where it is the default of a scheme
/// that is left.
fn host_of<'r>(request: &RequestView<'r>, new_scheme: &str, keep_port: bool) -> &'r str {
    let (host, port) = split_port(request.authority);
    let old_scheme = request.forwarded_proto;
    let is_default = matches!((old_scheme, port), ("http", ":80") | ("https", ":443"));
    if !keep_port || (is_default && new_scheme != old_scheme) { host } else { request.authority }
}

/// The URL of a request itself: what Envoy names in `location` where a direct response has a status
/// that goes with one (201 and 3xx).
pub(crate) fn own_url(request: &RequestView<'_>) -> String {
    let host = host_of(request, request.scheme, true);
    let path = request.path_and_query.unwrap_or_default();
    format!("{}://{host}{path}", request.scheme)
}

/// Where a virtual host that wants TLS sends a request: the same, under `https`.
pub fn tls_location(request: &RequestView<'_>) -> String {
    let path = request.path_and_query.unwrap_or_default();
    format!("https://{}{path}", request.authority)
}

/// The answer to a request that came without TLS to a virtual host that wants it.
pub fn tls_reply(request: &RequestView<'_>) -> Response<()> {
    response(StatusCode::MOVED_PERMANENTLY, tls_location(request))
}

/// An answer of a status and a `location`, without a body.
pub fn response(code: StatusCode, location: String) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = code;
    set_location(response.headers_mut(), location);
    response
}

/// Sets `location`.
pub(crate) fn set_location(headers: &mut HeaderMap, location: String) {
    // A configured path may hold what a header can't.
    let location = HeaderValue::from_str(&location)
        .or_else(|_| HeaderValue::try_from(uri_path::escape(&location)));
    if let Ok(location) = location {
        headers.insert(LOCATION, location);
    }
}

#[cfg(all(test, feature = "regex"))]
mod tests;
