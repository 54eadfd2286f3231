//! The HTTP/1 gate before a real hyper server, bytes in and bytes out.

mod connections;
mod properties;
mod refusals;
mod requests;
mod server;
