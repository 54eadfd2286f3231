//! One client connection: its protocol, and the codecs between its bytes and the request path.

mod codec_stats;
pub mod http1;
mod http2;
mod io;
mod log;
mod open;
mod serve;
mod service;
mod timers;

pub(crate) use codec_stats::{Http1Stats, Http2Stats};
pub(crate) use io::Counted;
pub(crate) use log::LoggedConnection;
pub(crate) use open::OpenConnection;
pub(crate) use serve::{Downstream, gate_config, serve};
