//! One spelling for a path, before routes are matched against it.
//!
//! `/a/../admin`, `/%61dmin` and `//admin` may reach the same page of an app, yet no route that
//! guards `/admin`. The three options are Envoy's, and so is their order: escaped slashes are
//! unescaped, then the path is normalised (RFC 3986 section 6.2.2, with the leniency of browsers),
//! then slashes are merged. The query is never touched.
//!
//! ```
//! use front_proxy_layers::sanitize::{PathNormalizer, PathOutcome};
//!
//! let normalizer = PathNormalizer { normalize: true, merge_slashes: true, ..Default::default() };
//! let PathOutcome::Changed(path) = normalizer.normalize(&"/x/%2e%2e//admin?q=//".parse()?) else { panic!() };
//! assert_eq!(path, "/admin?q=//");
//! assert_eq!(normalizer.normalize(&"/index.html".parse()?), PathOutcome::Unchanged);
//! # Ok::<(), http::uri::InvalidUri>(())
//! ```

use std::borrow::Cow;

use bytes::Bytes;
use http::uri::PathAndQuery;

/// Which spellings are made one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathNormalizer {
    /// `normalize_path`: dot segments go, escaped letters are unescaped, a backslash is a slash.
    pub normalize: bool,
    /// `merge_slashes`
    pub merge_slashes: bool,
    /// `path_with_escaped_slashes_action`
    pub escaped_slashes: EscapedSlashes,
}

/// What to do about `%2F` and `%5C` in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// Leave them.
    #[default]
    KeepUnchanged,
    /// Refuse the request.
    RejectRequest,
    /// Send the client to the unescaped path.
    UnescapeAndRedirect,
    /// Go on with the unescaped path.
    UnescapeAndForward,
}

/// What became of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum PathOutcome {
    /// It is as it should be.
    Unchanged,
    /// Go on with this one.
    Changed(PathAndQuery),
    /// Refuse the request (400).
    Reject,
    /// Send the client here (307).
    Redirect(String),
}

impl PathNormalizer {
    /// Normalises a path. One that needs nothing is only looked at.
    #[inline]
    pub fn normalize(&self, path_and_query: &PathAndQuery) -> PathOutcome {
        if self.is_clean(path_and_query.path()) {
            PathOutcome::Unchanged
        } else {
            self.rewrite(path_and_query)
        }
    }

    /// Whether nothing in the path concerns these options. May err towards `false`.
    #[inline]
    fn is_clean(&self, path: &str) -> bool {
        let mut concerns = 0;
        if self.normalize {
            concerns |= DOT | PERCENT | ODD;
        }
        if self.merge_slashes {
            concerns |= SLASH;
        }
        if self.escaped_slashes != EscapedSlashes::KeepUnchanged {
            concerns |= PERCENT;
        }
        // Dots and slashes matter only after a slash.
        let mut always = PERCENT | ODD;
        path.bytes().all(|byte| {
            let class = CLASSES[usize::from(byte)];
            let is_fine = class & concerns & always == 0;
            always = if class == SLASH { !0 } else { PERCENT | ODD };
            is_fine
        })
    }

    #[cold]
    fn rewrite(&self, path_and_query: &PathAndQuery) -> PathOutcome {
        let whole = path_and_query.as_str();
        if !whole.starts_with('/') {
            // `*`, the target of OPTIONS, is no path.
            return PathOutcome::Unchanged;
        }
        let (old, query) = whole.split_at(whole.find('?').unwrap_or(whole.len()));
        let mut redirect = false;
        let mut path = Cow::Borrowed(old);
        if self.escaped_slashes != EscapedSlashes::KeepUnchanged
            && let Some(unescaped) = unescape_slashes(old)
        {
            match self.escaped_slashes {
                EscapedSlashes::RejectRequest => return PathOutcome::Reject,
                EscapedSlashes::UnescapeAndRedirect => redirect = true,
                EscapedSlashes::UnescapeAndForward | EscapedSlashes::KeepUnchanged => {}
            }
            path = Cow::Owned(unescaped);
        }
        if self.normalize {
            match canonical(&path) {
                Some(canonical) => path = Cow::Owned(canonical),
                None => return PathOutcome::Reject,
            }
        }
        if self.merge_slashes && path.contains("//") {
            path = Cow::Owned(merge_slashes(&path));
        }
        if redirect {
            return PathOutcome::Redirect(location(&path, query));
        }
        if path == old {
            return PathOutcome::Unchanged;
        }
        let new = Bytes::from(path.into_owned() + query);
        // Escaping may make a path too long for a URI.
        PathAndQuery::from_maybe_shared(new).map_or(PathOutcome::Reject, PathOutcome::Changed)
    }
}

/// A relative `location`. Envoy gives `//evil.example` for `/%2Fevil.example`, which names another
/// host to the client; a dot segment in front keeps it a path (RFC 3986 section 4.2).
fn location(path: &str, query: &str) -> String {
    let names_a_host = matches!(path.as_bytes().get(1), Some(b'/' | b'\\'));
    let dot = if names_a_host { "/." } else { "" };
    format!("{dot}{path}{query}")
}

/// `None` where there is nothing to unescape.
fn unescape_slashes(path: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let slash = match escape.as_bytes().get(1..3) {
            Some(b"2f" | b"2F") => '/',
            Some(b"5c" | b"5C") => '\\',
            _ => '%',
        };
        out.push(slash);
        rest = &escape[if slash == '%' { 1 } else { 3 }..];
    }
    (out.len() + rest.len() < path.len()).then(|| out + rest)
}

/// One slash for several. Envoy leaves two of a path that is nothing but slashes.
fn merge_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        out.push('/');
        out.push_str(segment);
    }
    match (out.is_empty(), path.ends_with('/')) {
        (true, _) => out.push_str("//"),
        (false, true) => out.push('/'),
        (false, false) => {}
    }
    out
}

/// The path without dot segments and needless escapes; `None` where it holds an escaped NUL.
fn canonical(path: &str) -> Option<String> {
    let input = path.as_bytes();
    let mut out = Vec::with_capacity(input.len());
    // Where a `%` that begins no escape stands in the output.
    let mut bare_percent = None;
    let mut at = 0;
    while let Some(&byte) = input.get(at) {
        if out.last() == Some(&b'/')
            && let Some((dots, end)) = dot_segment(input, at)
        {
            if dots == 2 {
                drop_last_segment(&mut out);
                bare_percent = bare_percent.filter(|percent| *percent < out.len());
            }
            at = end;
            continue;
        }
        at += 1;
        match byte {
            b'\\' => out.push(b'/'),
            b'%' => match escape(input, at) {
                Some(0) => return None,
                Some(plain) if is_unreserved(plain) => {
                    out.push(plain);
                    at += 2;
                    guard_percent(&mut out, &mut bare_percent, input.get(at));
                }
                // Kept as it is, with its letters: `%2f` is not `%2F` to every app.
                Some(_) => {
                    out.extend_from_slice(&input[at - 1..at + 2]);
                    at += 2;
                }
                None => {
                    bare_percent = Some(out.len());
                    out.push(b'%');
                }
            },
            _ if must_be_escaped(byte) => {
                let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble)];
                out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

/// Reads a `.` or `..` segment, its parameters and the slash after it: the dots and where it ends.
///
/// Parameters (`..;x`) count as part of it since some apps cut them off before they resolve dots.
/// Envoy sees them only after dots that are not escaped; `%2e%2e;` is one here as well, or a path
/// would change again at the next proxy.
fn dot_segment(input: &[u8], start: usize) -> Option<(usize, usize)> {
    let mut at = start;
    let mut dots = 0;
    loop {
        let end = match &input[at..] {
            [] => at,
            [b'/' | b'\\', ..] => at + 1,
            [b';', parameters @ ..] => match parameters.iter().position(|byte| *byte == b'/') {
                Some(slash) => at + slash + 2,
                None => input.len(),
            },
            [b'.', ..] if dots < 2 => {
                (at, dots) = (at + 1, dots + 1);
                continue;
            }
            [b'%', b'2', b'e' | b'E', ..] if dots < 2 => {
                (at, dots) = (at + 3, dots + 1);
                continue;
            }
            _ => return None,
        };
        return (dots > 0).then_some((dots, end));
    }
}

/// `/a/b/` becomes `/a/`; the root stays.
fn drop_last_segment(out: &mut Vec<u8>) {
    let inner = &out[..out.len() - 1];
    let slash = inner.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    out.truncate(slash + 1);
}

/// The byte that the two digits at `at` stand for.
fn escape(input: &[u8], at: usize) -> Option<u8> {
    let digit = |at| char::from(*input.get(at)?).to_digit(16);
    Some((digit(at)? * 16 + digit(at + 1)?) as u8)
}

/// Unescaping the `2` of `%%32e` would make an escape that was none: then the first `%` becomes
/// `%25`, as in Chromium's URL library, which Envoy uses.
fn guard_percent(out: &mut Vec<u8>, bare_percent: &mut Option<usize>, next: Option<&u8>) {
    let Some(percent) = *bare_percent else {
        return;
    };
    let makes_an_escape = match &out[percent + 1..] {
        [digit] => digit.is_ascii_hexdigit() && next.is_some_and(u8::is_ascii_hexdigit),
        [high, low] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        _ => false,
    };
    if makes_an_escape {
        out.splice(percent + 1..percent + 1, *b"25");
        *bare_percent = None;
    }
}

const SLASH: u8 = 1;
const DOT: u8 = 2;
const PERCENT: u8 = 4;
/// A backslash, or what has to be escaped.
const ODD: u8 = 8;

/// What a byte of a path may be to [`PathNormalizer::is_clean`].
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < classes.len() {
        classes[byte] = match byte as u8 {
            b'/' => SLASH,
            b'.' => DOT,
            b'%' => PERCENT,
            b'\\' => ODD,
            odd if must_be_escaped(odd) => ODD,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What browsers escape in a path.
const fn must_be_escaped(byte: u8) -> bool {
    !byte.is_ascii_graphic()
        || matches!(byte, b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
}

#[cfg(test)]
mod tests;
