//! What the two sides of HTTP/2 share: counters, frame headers on a byte stream, bodies, pings.
//!
//! The protocol itself is the `h2` crate's. Here is what a proxy needs around it, towards clients
//! (the binary's listeners) and towards upstreams ([`crate::endpoint`]).

// Those that name types of `h2` are public with the feature `h2`.
#[cfg_attr(not(feature = "h2"), allow(unreachable_pub))]
mod body;
mod frames;
#[cfg_attr(not(feature = "h2"), allow(unreachable_pub))]
mod keepalive;
mod outbound;
#[cfg_attr(not(feature = "h2"), allow(dead_code, unreachable_pub))]
mod send;
mod stats;

pub use frames::{Event, Frame, FrameReader, flag, kind};
pub use outbound::Outbound;
pub use stats::CodecStats;
#[cfg(not(feature = "h2"))]
pub(crate) use {
    body::Http2Body,
    keepalive::Keepalive,
    send::{SendBody, SendError},
};
#[cfg(feature = "h2")]
pub use {
    body::Http2Body,
    keepalive::Keepalive,
    send::{SendBody, SendError},
};

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
