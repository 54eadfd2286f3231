//! What must not cross the proxy: hop-by-hop headers, in both directions.
//!
//! RFC 9110 section 7.6.1 and Envoy's connection manager. Requests also get one authority: the
//! absolute form's goes before `Host` (RFC 9112 section 3.2.2), and from here on the target is in
//! origin form with the authority in `Host`, whichever protocol the client spoke.
//!
//! From requests go `connection` and everything it nominates, `keep-alive`, `proxy-connection`,
//! `transfer-encoding`, `upgrade`, and `te` unless it is `trailers`. From responses go
//! `connection`, `keep-alive`, `proxy-connection`, `transfer-encoding` and `upgrade`; what a
//! response nominates stays, as in Envoy.
//!
//! Requests that Envoy refuses at this point are errors: no `Host` (400), a nominated header that
//! the proxy relies on (400), a protocol switch that is not configured (403), a target that is no
//! path (404).
//!
//! Where asked to, the layer also gives hosts ([`HostRules`]) and paths ([`PathNormalizer`]) one
//! spelling, before routes are looked up by them. What is not asked for costs nothing.
//!
//! ```
//! use front_proxy_layers::sanitize;
//! use http::{HeaderMap, HeaderValue};
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("connection", HeaderValue::from_static("x-private"));
//! headers.insert("x-private", HeaderValue::from_static("1"));
//! headers.insert("te", HeaderValue::from_static("trailers"));
//! sanitize::request_headers(&mut headers, sanitize::Upgrade::Refuse).unwrap();
//! assert_eq!(headers.len(), 1);
//! assert_eq!(headers["te"], "trailers");
//! ```

mod hop_by_hop;
mod host;
mod layer;
pub mod path;

pub(crate) use hop_by_hop::remove_from_response;
pub use hop_by_hop::{Upgrade, is_last, may_nominate, request_headers, response_headers};
pub use host::{HostRules, StripPort};
pub use layer::{ResponseFuture, Sanitize, SanitizeLayer};
pub use path::{EscapedSlashes, PathNormalizer, PathOutcome};
