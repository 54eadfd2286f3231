//! What the two sides of HTTP/2 share: counters, frame headers on a byte stream, bodies, pings.
//!
//! The protocol itself is the `h2` crate's. Here is what a proxy needs around it, towards clients
//! (the binary's listeners) and towards upstreams ([`crate::endpoint`]).

mod body;
mod frames;
mod keepalive;
mod outbound;
mod send;
mod stats;

pub use body::Http2Body;
pub use frames::{Event, Frame, FrameReader, flag, kind};
pub use keepalive::Keepalive;
pub use outbound::Outbound;
pub use send::{SendBody, SendError};
pub use stats::CodecStats;

use http::header::{self, HeaderMap};

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
