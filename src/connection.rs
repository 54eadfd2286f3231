//! One client connection: its protocol, and the codecs between its bytes and the request path.

pub mod http1;
