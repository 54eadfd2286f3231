//! What outlives a plain exchange: timeouts, answers that are cut off, and protocol switches. Each
//! against a proxy on loopback sockets, byte by byte.

mod answers;
mod front;
mod hostile;
mod targets;
mod timeouts;
mod trailers;
mod upgrades;
