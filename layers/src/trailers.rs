//! Trailers of HTTP/1 messages, around hyper's encoder.
//!
//! hyper writes only those trailers that a `trailer` header has announced, and to a client only if
//! it said `te: trailers`. A proxy can't know them when it writes the head, and Envoy writes
//! whatever comes (`enable_trailers`). So they take another way: [`TrailerBody`] takes them out of a
//! body before hyper sees them and leaves them in a [`TrailerSlot`]; hyper ends its chunks as it
//! does without any; and a [`TrailerWriter`] in the transport below hyper puts them where that end
//! goes by.
//!
//! ```text
//! body ─ TrailerBody ─ data ─→ hyper ─ chunks, last chunk ─→ TrailerWriter ─→ peer
//!             └─ trailers ─→ TrailerSlot ─────────────────────────┘
//! ```
//!
//! Names go out in lower case whatever `header_key_format` says, as Envoy's do. Fields that frame or
//! route a message do not go out at all: [`strip`].
//!
//! ```
//! use std::io::IoSlice;
//! use std::sync::Arc;
//! use std::task::{Context, Poll, Waker};
//!
//! use front_proxy_layers::trailers::{TrailerSlot, TrailerWriter};
//!
//! let slot = Arc::new(TrailerSlot::default());
//! let mut writer = TrailerWriter::new(Arc::clone(&slot));
//! slot.leave([("x-sum".parse().unwrap(), "42".parse().unwrap())].into_iter().collect());
//! // What hyper writes, and where it goes.
//! let chunks = [IoSlice::new(b"2\r\nok\r\n"), IoSlice::new(b"0\r\n\r\n")];
//! let mut wire = Vec::new();
//! let mut cx = Context::from_waker(Waker::noop());
//! let written = writer.poll_write(&mut cx, &chunks, |_, bufs| {
//!     bufs.iter().for_each(|buf| wire.extend_from_slice(buf));
//!     Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
//! });
//! assert!(matches!(written, Poll::Ready(Ok(12))));
//! assert_eq!(wire, b"2\r\nok\r\n0\r\nx-sum: 42\r\n\r\n");
//! ```

mod body;
mod measured;
mod writer;

pub use body::TrailerBody;
pub use writer::TrailerWriter;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};

use crate::lock::lock;

/// Removes what has no place in trailers: fields that frame a message, route it or speak of its
/// connection (RFC 9110 section 6.5.1, RFC 9113 section 8.2.2). Envoy passes them on; a recipient
/// that takes trailers for headers would read the next message wrongly.
pub fn strip(trailers: &mut HeaderMap) {
    const MISPLACED: [HeaderName; 7] = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::HOST,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    for name in MISPLACED {
        trailers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        trailers.remove(name);
    }
}

/// The trailers of the message that hyper is writing, until its last chunk is on its way.
///
/// Written and read by the task of one connection, so its lock is always free.
#[derive(Debug, Default)]
pub struct TrailerSlot {
    filled: AtomicBool,
    trailers: Mutex<Option<Bytes>>,
}

impl TrailerSlot {
    /// Leaves trailers behind, for the end of the chunks which hyper must write next.
    pub fn leave(&self, mut trailers: HeaderMap) {
        strip(&mut trailers);
        if !trailers.is_empty() {
            *lock(&self.trailers) = Some(section(&trailers));
            self.filled.store(true, Ordering::Release);
        }
    }

    fn take(&self) -> Option<Bytes> {
        if !self.filled.load(Ordering::Acquire) {
            return None;
        }
        self.filled.store(false, Ordering::Relaxed);
        lock(&self.trailers).take()
    }
}

/// How hyper ends a chunked message without trailers.
const LAST: &[u8] = b"0\r\n\r\n";

/// The last chunk and a trailer section (RFC 9112 section 7.1.2).
fn section(trailers: &HeaderMap) -> Bytes {
    let mut section = Vec::with_capacity(64 * (1 + trailers.len()));
    section.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        section.extend_from_slice(name.as_str().as_bytes());
        section.extend_from_slice(b": ");
        section.extend_from_slice(value.as_bytes());
        section.extend_from_slice(b"\r\n");
    }
    section.extend_from_slice(b"\r\n");
    section.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_repeated_names_in_lower_case_without_what_frames() {
        let mut trailers = HeaderMap::new();
        for (name, value) in [
            ("X-Sum", "1"),
            ("Content-Length", "5"),
            ("Transfer-Encoding", "chunked"),
            ("Host", "b"),
            ("Connection", "close"),
            ("Keep-Alive", "x"),
            ("x-sum", "2"),
            ("x-empty", ""),
        ] {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            trailers.append(name, value.parse().expect("a value"));
        }
        let slot = TrailerSlot::default();
        slot.leave(trailers);
        let section = slot.take().expect("trailers");
        assert_eq!(section, "0\r\nx-sum: 1\r\nx-sum: 2\r\nx-empty: \r\n\r\n");
        assert!(slot.take().is_none(), "once");
    }

    #[test]
    fn nothing_is_left_where_nothing_may_go_out() {
        let slot = TrailerSlot::default();
        slot.leave([(header::CONTENT_LENGTH, 3.into())].into_iter().collect());
        assert!(slot.take().is_none());
    }
}
