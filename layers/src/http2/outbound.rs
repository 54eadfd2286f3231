//! Frames that wait for a peer to read: `outbound_frames_active`.

use std::io::{self, IoSlice};
use std::task::Poll;

use super::frames::{Event, FrameReader, kind};
use super::stats::CodecStats;
use crate::gather::total;
use crate::stats::Level;

/// `outbound_frames_active` and `outbound_control_frames_active` of a connection.
///
/// `h2` hands over a frame or two at a time and keeps the others with their streams, where Envoy's
/// codec writes all that there is a window for: so these are small numbers, but for answers to
/// PING and SETTINGS there is no more than one in either.
#[derive(Debug)]
pub struct Outbound {
    frames: Level,
    control: Level,
}

impl Outbound {
    /// Of a connection that is counted in `stats`.
    pub fn new(stats: &CodecStats) -> Self {
        // Every connection sends something: they are in use.
        stats.outbound_frames_active.increment(0.0);
        stats.outbound_control_frames_active.increment(0.0);
        Self {
            frames: Level::new(&stats.outbound_frames_active),
            control: Level::new(&stats.outbound_control_frames_active),
        }
    }

    /// What came of writing `bufs`. `before` has followed the bytes that went before them.
    #[inline]
    pub fn wrote(
        &mut self,
        polled: &Poll<io::Result<usize>>,
        before: &FrameReader,
        bufs: &[IoSlice<'_>],
    ) {
        let written = match polled {
            Poll::Ready(Ok(written)) => *written,
            Poll::Ready(Err(_)) => usize::MAX,
            Poll::Pending => 0,
        };
        let (frames, control) = match total(bufs) {
            total if written >= total => (0, 0),
            _ => unsent(before.clone(), bufs, written),
        };
        self.frames.set(frames);
        self.control.set(control);
    }
}

/// Frames in `bufs` that don't end within the first `written` bytes; and those of them that answer
/// or manage, rather than carry a message.
#[cold]
fn unsent(mut reader: FrameReader, bufs: &[IoSlice<'_>], written: usize) -> (u64, u64) {
    let (mut frames, mut control) = (0, 0);
    let mut count = |kind: u8| {
        frames += 1;
        control += u64::from(matches!(kind, kind::RST_STREAM | kind::SETTINGS | kind::PING));
    };
    let mut before = 0;
    for buf in bufs {
        let mut rest = &buf[..];
        while let Some(event) = reader.next(&mut rest) {
            if let Event::End(frame) = event
                && before + buf.len() - rest.len() > written
            {
                count(frame.kind);
            }
        }
        before += buf.len();
    }
    if let Some(frame) = reader.frame() {
        count(frame.kind);
    }
    (frames, control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_count_until_their_last_byte_is_written() {
        let ping = b"\0\0\x08\x06\x01\0\0\0\0abcdefgh";
        let data = b"\0\0\x03\0\0\0\0\0\x01abc";
        let bufs = [&ping[..], data].map(IoSlice::new);
        let left = |written| unsent(FrameReader::new(), &bufs, written);
        assert_eq!(left(0), (2, 1));
        assert_eq!(left(16), (2, 1));
        assert_eq!(left(17), (1, 0));
        assert_eq!(left(28), (1, 0));
        assert_eq!(left(29), (0, 0));
        let mut begun = FrameReader::new();
        while begun.next(&mut &ping[..10]).is_none() {}
        assert_eq!(unsent(begun, &[IoSlice::new(&ping[10..12])], 0).1, 1, "the rest of one");
    }
}
