//! Heads of requests, between HTTP/1 and HTTP/2.

use http::Extensions;
use http::header::{self, HeaderMap, HeaderValue};

/// Takes out what speaks of an HTTP/1 connection (RFC 9113 section 8.2.2), where it is left.
pub fn strip_connection(headers: &mut HeaderMap) {
    if headers.remove(header::CONNECTION).is_some() {
        headers.remove("keep-alive");
        headers.remove("proxy-connection");
    }
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::UPGRADE);
    if headers.get(header::TE).is_some_and(|te| te != "trailers") {
        headers.remove(header::TE);
    }
}

/// Has a `CONNECT` ask for this protocol (RFC 8441 section 4). `None` where it has no name that can be
/// asked for.
pub(crate) fn ask_for_protocol(extensions: &mut Extensions, protocol: &HeaderValue) -> Option<()> {
    extensions.insert(h2::ext::Protocol::from(protocol.to_str().ok()?));
    Some(())
}

/// The protocol that a `CONNECT` asks for, whether hyper has read it or `h2` alone.
pub(crate) fn take_protocol(extensions: &mut Extensions) -> Option<Box<str>> {
    let hyper = extensions.remove::<hyper::ext::Protocol>();
    let h2 = extensions.remove::<h2::ext::Protocol>();
    hyper.map(|protocol| protocol.as_str().into()).or_else(|| Some(h2?.as_str().into()))
}
