//! What the two sides of HTTP/2 share: counters, frame headers on a byte stream, bodies, pings.
//!
//! The protocol itself is the `h2` crate's. Here is what a proxy needs around it, towards clients
//! (the binary's listeners) and towards upstreams ([`crate::endpoint`]).

mod body;
mod frames;
mod keepalive;
mod send;
mod stats;

pub use body::Http2Body;
pub use frames::{Event, Frame, FrameReader, flag, kind};
pub use keepalive::Keepalive;
pub use send::{SendBody, SendError};
pub use stats::CodecStats;
