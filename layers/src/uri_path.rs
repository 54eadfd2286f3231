//! Paths that may go into a request: what config and regular expressions make, made valid.

use std::fmt::Write as _;

use bytes::Bytes;
use http::uri::PathAndQuery;

/// Makes a request's path of `text`: with a `/` in front, and with everything escaped that a URI
/// can't hold. `None` is a path too long for a [`PathAndQuery`] (64 KiB).
pub(crate) fn path_and_query(mut text: String) -> Option<PathAndQuery> {
    if !text.starts_with('/') {
        text.insert(0, '/');
    }
    // A `#` would parse, and silently cut the path.
    if text.contains('#') {
        text = escape(&text);
    }
    let bytes = Bytes::from(text);
    PathAndQuery::from_maybe_shared(bytes.clone())
        .or_else(|_| {
            let text = String::from_utf8_lossy(&bytes);
            PathAndQuery::from_maybe_shared(Bytes::from(escape(&text)))
        })
        .ok()
}

/// Escapes all that RFC 3986 does not allow in a path or query.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
