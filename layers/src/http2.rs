//! What the two sides of HTTP/2 share: counters, frame headers on a byte stream, bodies, pings.
//!
//! The protocol itself is the `h2` crate's. Here is what a proxy needs around it, towards clients
//! (the binary's listeners) and towards upstreams ([`crate::endpoint`]). What names types of that crate
//! needs the feature `h2`, the rest `http2`; without that there are only the counters.

#[cfg(not(feature = "http2"))]
mod absent;
#[cfg(feature = "http2")]
mod frames;
#[cfg(feature = "http2")]
mod headers;
mod stats;
// Those that name types of `h2` are public with the feature of that name.
#[cfg(feature = "http2")]
#[cfg_attr(not(feature = "h2"), allow(unreachable_pub))]
mod body;
#[cfg(feature = "http2")]
#[cfg_attr(not(feature = "h2"), allow(unreachable_pub))]
mod keepalive;
#[cfg(feature = "http2")]
mod outbound;
#[cfg(feature = "http2")]
#[cfg_attr(not(feature = "h2"), allow(dead_code, unreachable_pub))]
mod send;

pub use stats::CodecStats;

#[cfg(not(feature = "http2"))]
pub(crate) use absent::{Http2Body, ask_for_protocol, take_protocol};
#[cfg(feature = "http2")]
pub use frames::{Event, Frame, FrameReader, flag, kind};
#[cfg(feature = "http2")]
pub use headers::strip_connection;
#[cfg(feature = "http2")]
pub(crate) use headers::{ask_for_protocol, take_protocol};
#[cfg(feature = "http2")]
pub use outbound::Outbound;
#[cfg(all(feature = "http2", not(feature = "h2")))]
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
