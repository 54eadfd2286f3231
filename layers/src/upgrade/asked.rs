use std::fmt;
use std::sync::{Arc, OnceLock};

use http::header::{CONNECTION, CONTENT_LENGTH, UPGRADE};
use http::{HeaderValue, Method, Request, StatusCode, Uri, Version};

use crate::stats::Gauge;
use crate::{headers, http2};

/// The wish to switch protocols, in the extensions of the request that has it.
#[derive(Clone, Debug)]
pub struct Asked(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    protocol: HeaderValue,
    allowed: bool,
    active: OnceLock<ActiveUpgrade>,
}

impl Asked {
    pub(super) fn new(protocol: HeaderValue, allowed: bool) -> Self {
        Self(Arc::new(Inner { protocol, allowed, active: OnceLock::new() }))
    }

    #[cfg(test)]
    pub(crate) fn for_tests(protocol: &'static str) -> Self {
        Self::new(HeaderValue::from_static(protocol), true)
    }

    /// The protocol; `CONNECT` for a tunnel by that method. Compare it without case.
    pub fn protocol(&self) -> &HeaderValue {
        &self.0.protocol
    }

    /// Whether it is this protocol.
    pub fn is(&self, protocol: &str) -> bool {
        self.0.protocol.as_bytes().eq_ignore_ascii_case(protocol.as_bytes())
    }

    /// Whether the [layer](super::UpgradeLayer) allows it. A route may say otherwise.
    pub fn is_allowed(&self) -> bool {
        self.0.allowed
    }

    /// Whether a response of this status grants it.
    pub fn is_granted(&self, status: StatusCode) -> bool {
        is_granted(self.is("CONNECT"), status)
    }

    /// Keeps this until the request's response, or the tunnel, has ended.
    pub fn keep(&self, active: ActiveUpgrade) {
        // Kept once: whoever allowed it first has counted it.
        let _ = self.0.active.set(active);
    }
}

/// Whether a response of this status turns the connection of a request that asks for another
/// protocol into a tunnel: `connect` says whether it asks by the method `CONNECT` (RFC 9110 section
/// 9.3.6) or by an `upgrade` header (section 7.8).
pub fn is_granted(connect: bool, status: StatusCode) -> bool {
    if connect { status.is_success() } else { status == StatusCode::SWITCHING_PROTOCOLS }
}

/// A switch that is counted as active until this is dropped.
pub struct ActiveUpgrade(Gauge);

impl ActiveUpgrade {
    /// Counts it.
    pub fn new(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for ActiveUpgrade {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl fmt::Debug for ActiveUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ActiveUpgrade")
    }
}

/// The protocol that a request asks to switch to. One that asks in HTTP/2's way asks in HTTP/1's
/// afterwards.
pub(super) fn protocol<B: http_body::Body>(request: &mut Request<B>) -> Option<HeaderValue> {
    if request.method() == Method::CONNECT {
        return match http2::take_protocol(request.extensions_mut()) {
            Some(protocol) => extended_connect(request, &protocol),
            None => Some(HeaderValue::from_static("CONNECT")),
        };
    }
    // A body would have to end before the tunnel begins; no protocol in use needs that.
    if request.version() != Version::HTTP_11 || !request.body().is_end_stream() {
        return None;
    }
    let headers = request.headers();
    let protocol = headers.get(UPGRADE)?;
    // RFC 9113 has done away with the switch to HTTP/2: served as HTTP/1.
    let h2c = protocol.as_bytes().eq_ignore_ascii_case(b"h2c");
    (!h2c && headers::has_token(headers, &CONNECTION, b"upgrade")).then(|| protocol.clone())
}

/// RFC 8441 section 5 backwards: `CONNECT` with `:protocol` becomes `GET` with `upgrade`.
fn extended_connect<B>(request: &mut Request<B>, protocol: &str) -> Option<HeaderValue> {
    let value = HeaderValue::from_str(protocol).ok()?;
    *request.method_mut() = Method::GET;
    if request.uri().path_and_query().is_none() {
        *request.uri_mut() = Uri::from_static("/");
    }
    let headers = request.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, value.clone());
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;

    fn request(lines: &[(&str, &str)]) -> Request<Body> {
        let mut request = Request::builder();
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).expect("a request")
    }

    #[test]
    fn an_upgrade_takes_both_headers_and_no_body() {
        let whole = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
        let found = protocol(&mut request(&whole)).expect("asked");
        assert!(Asked::new(found, true).is("websocket"));

        assert!(protocol(&mut request(&[("upgrade", "websocket")])).is_none());
        assert!(protocol(&mut request(&[("connection", "upgrade")])).is_none());
        let h2c = [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")];
        assert!(protocol(&mut request(&h2c)).is_none());

        let mut with_body = request(&whole);
        *with_body.body_mut() = Body::from(bytes::Bytes::from_static(b"x"));
        assert!(protocol(&mut with_body).is_none());
        let mut old = request(&whole);
        *old.version_mut() = Version::HTTP_10;
        assert!(protocol(&mut old).is_none());
    }

    #[test]
    fn what_grants_a_switch_depends_on_how_it_was_asked_for() {
        let (connect, websocket) = (Asked::for_tests("CONNECT"), Asked::for_tests("websocket"));
        for (status, by_connect, by_upgrade) in
            [(101, false, true), (200, true, false), (204, true, false), (403, false, false)]
        {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(connect.is_granted(status), by_connect, "{status}");
            assert_eq!(websocket.is_granted(status), by_upgrade, "{status}");
        }
    }

    #[cfg(feature = "http2")]
    #[test]
    fn an_extended_connect_becomes_a_get() {
        let mut request = request(&[]);
        *request.method_mut() = Method::CONNECT;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = Uri::from_static("http://chat.example/room?a=1");
        request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
        let found = protocol(&mut request).expect("asked");
        assert_eq!(found, "websocket");
        assert_eq!(request.method(), Method::GET);
        assert_eq!(request.headers()["connection"], "upgrade");
        assert_eq!(request.headers()["upgrade"], "websocket");
        assert_eq!(request.uri().path(), "/room");
    }
}
