//! Heads of requests, between HTTP/1 and HTTP/2.

use http::Extensions;
use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};

/// Takes out what speaks of an HTTP/1 connection (RFC 9113 section 8.2.2), where it is left.
pub fn strip_connection(headers: &mut HeaderMap) {
    // One walk over the names costs less than a look-up for each, and hardly any head has one.
    if !headers.keys().any(speaks_of_it) {
        return;
    }
    if headers.remove(CONNECTION).is_some() {
        headers.remove("keep-alive");
        headers.remove("proxy-connection");
    }
    headers.remove(TRANSFER_ENCODING);
    headers.remove(UPGRADE);
    if headers.get(TE).is_some_and(|te| te != "trailers") {
        headers.remove(TE);
    }
}

fn speaks_of_it(name: &HeaderName) -> bool {
    matches!(*name, CONNECTION | TRANSFER_ENCODING | UPGRADE | TE)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_of_the_connection_goes() {
        for (name, value, stays) in [
            ("connection", "close", false),
            ("transfer-encoding", "chunked", false),
            ("upgrade", "h2c", false),
            ("te", "gzip", false),
            ("te", "trailers", true),
            ("x-a", "b", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-first", HeaderValue::from_static("a"));
            headers.insert(name, HeaderValue::from_static(value));
            strip_connection(&mut headers);
            assert_eq!(headers.contains_key(name), stays, "{name}: {value}");
            assert_eq!(headers.len(), if stays { 2 } else { 1 });
        }
        let mut headers = HeaderMap::new();
        for name in ["connection", "keep-alive", "proxy-connection"] {
            headers.insert(name, HeaderValue::from_static("keep-alive"));
        }
        strip_connection(&mut headers);
        assert!(headers.is_empty(), "{headers:?}");
    }
}
