//! Frame headers, read from a byte stream that passes by.

use std::fmt;

/// Frame types (RFC 9113 section 6).
#[allow(missing_docs)] // the RFC's names
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Frame flags (RFC 9113 section 6).
#[allow(missing_docs)] // the RFC's names
pub mod flag {
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
}

/// Bytes of a frame's header.
const HEAD: usize = 9;

/// The head of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// See [`kind`].
    pub kind: u8,
    /// See [`flag`].
    pub flags: u8,
    /// 0 is the connection.
    pub stream: u32,
    /// Bytes after the head.
    pub len: u32,
    /// The error code of a `RST_STREAM` or `GOAWAY`; the padding of a padded frame.
    pub value: u32,
}

impl Frame {
    /// Whether it has this flag.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether it carries nothing but padding.
    pub fn is_empty(&self) -> bool {
        let padding = if self.is_padded() { self.value.saturating_add(1) } else { 0 };
        self.len <= padding
    }

    fn is_padded(&self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.has(flag::PADDED)
    }

    /// Bytes of the payload that are read as part of the head.
    fn extra(&self) -> usize {
        let wanted = match self.kind {
            kind::RST_STREAM => 4,
            kind::GOAWAY => 8,
            _ if self.is_padded() => 1,
            _ => 0,
        };
        wanted.min(self.len as usize)
    }
}

/// What a [`FrameReader`] sees.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A frame begins.
    Begin(Frame),
    /// Part of its payload.
    Payload(&'a [u8]),
    /// It ends.
    End(Frame),
}

/// Follows the frames of one direction of a connection. It keeps a few bytes and never allocates;
/// payloads are skipped, not read.
///
/// ```
/// use front_proxy_layers::http2::{Event, FrameReader, flag, kind};
///
/// // SETTINGS without a setting, and the answer to one.
/// let mut input: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0];
/// let mut reader = FrameReader::new();
/// let mut answers = 0;
/// while let Some(event) = reader.next(&mut input) {
///     if let Event::Begin(frame) = event {
///         assert_eq!(frame.kind, kind::SETTINGS);
///         answers += usize::from(frame.has(flag::ACK));
///     }
/// }
/// assert_eq!(answers, 1);
/// ```
#[derive(Clone)]
pub struct FrameReader {
    preface: usize,
    head: [u8; HEAD + 8],
    have: usize,
    frame: Option<Frame>,
    left: usize,
}

impl FrameReader {
    /// A direction that begins with frames.
    pub fn new() -> Self {
        Self::after(0)
    }

    /// What a client sends: its preface of 24 bytes (RFC 9113 section 3.4) comes first.
    pub fn of_client() -> Self {
        Self::after(24)
    }

    fn after(preface: usize) -> Self {
        Self { preface, head: [0; HEAD + 8], have: 0, frame: None, left: 0 }
    }

    /// Whether the client's preface has passed.
    pub fn has_begun(&self) -> bool {
        self.preface == 0
    }

    /// Whether nothing of a frame has been seen that has not been seen whole.
    pub fn is_between_frames(&self) -> bool {
        self.preface == 0 && self.have == 0 && self.frame.is_none()
    }

    /// The frame that has begun and not ended.
    pub(super) fn frame(&self) -> Option<Frame> {
        self.frame
    }

    /// The next thing in `input`, which is moved past it. `None` when all of it has been seen.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<Event<'a>> {
        if self.preface > 0 {
            self.preface -= take(input, self.preface).len();
        }
        if let Some(frame) = self.frame {
            if self.left == 0 {
                self.frame = None;
                return Some(Event::End(frame));
            }
            let payload = take(input, self.left);
            self.left -= payload.len();
            return (!payload.is_empty()).then_some(Event::Payload(payload));
        }
        self.read(input, HEAD)?;
        let mut frame = self.parse();
        let extra = frame.extra();
        self.read(input, HEAD + extra)?;
        frame.value = match (frame.kind, self.head.get(HEAD..HEAD + extra)) {
            (kind::RST_STREAM, Some(code @ [_, _, _, _])) => number(code),
            (kind::GOAWAY, Some([_, _, _, _, code @ ..])) => number(code),
            (_, Some([padding])) => u32::from(*padding),
            _ => 0,
        };
        self.have = 0;
        self.left = (frame.len as usize).saturating_sub(extra);
        self.frame = Some(frame);
        Some(Event::Begin(frame))
    }

    /// Reads the head up to `wanted` bytes.
    fn read(&mut self, input: &mut &[u8], wanted: usize) -> Option<()> {
        let part = take(input, wanted.saturating_sub(self.have));
        self.head.get_mut(self.have..self.have + part.len())?.copy_from_slice(part);
        self.have += part.len();
        (self.have >= wanted).then_some(())
    }

    fn parse(&self) -> Frame {
        let [a, b, c, kind, flags, d, e, f, g, ..] = self.head;
        Frame {
            kind,
            flags,
            stream: u32::from_be_bytes([d & 0x7f, e, f, g]),
            len: u32::from_be_bytes([0, a, b, c]),
            value: 0,
        }
    }
}

impl Default for FrameReader {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader").field("frame", &self.frame).finish_non_exhaustive()
    }
}

fn take<'a>(input: &mut &'a [u8], wanted: usize) -> &'a [u8] {
    let (part, rest) = input.split_at(wanted.min(input.len()));
    *input = rest;
    part
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const STREAM: &[u8] = b"\x00\x00\x03\x01\x05\x00\x00\x00\x01abc\
        \x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08\
        \x00\x00\x0a\x07\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x0bhi\
        \x00\x00\x03\x00\x08\x80\x00\x00\x05\x02\x00\x00\
        \x00\x00\x00\x04\x01\x00\x00\x00\x00";

    fn frames(pieces: impl Iterator<Item = Vec<u8>>) -> (Vec<Frame>, Vec<u8>, usize) {
        let mut reader = FrameReader::new();
        let (mut begun, mut payload, mut ended) = (Vec::new(), Vec::new(), 0);
        for piece in pieces {
            let mut input = &piece[..];
            while let Some(event) = reader.next(&mut input) {
                match event {
                    Event::Begin(frame) => begun.push(frame),
                    Event::Payload(part) => payload.extend_from_slice(part),
                    Event::End(_) => ended += 1,
                }
            }
            assert!(input.is_empty());
        }
        (begun, payload, ended)
    }

    #[test]
    fn frames_are_the_same_however_they_are_cut() {
        let whole = frames(std::iter::once(STREAM.to_vec()));
        let (begun, payload, ended) = &whole;
        let kinds: Vec<_> = begun.iter().map(|f| (f.kind, f.stream, f.value)).collect();
        let [headers, reset, goaway, data, settings] =
            [kind::HEADERS, kind::RST_STREAM, kind::GOAWAY, kind::DATA, kind::SETTINGS];
        assert_eq!(
            kinds,
            [(headers, 1, 0), (reset, 1, 8), (goaway, 0, 11), (data, 5, 2), (settings, 0, 0)]
        );
        assert_eq!((&payload[..], *ended), (&b"abchi\0\0"[..], 5));
        assert!(begun[3].is_empty() && !begun[0].is_empty(), "padding is no content");
        for size in 1..STREAM.len() {
            assert_eq!(frames(STREAM.chunks(size).map(<[u8]>::to_vec)), whole, "cut by {size}");
        }
    }

    /// Frames as they may come, and bytes that are none.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let frame = (0..12u8, any::<u8>(), any::<u32>(), vec(any::<u8>(), 0..20)).prop_map(
            |(kind, flags, stream, payload)| {
                let len = u8::try_from(payload.len()).expect("short");
                let head = [&[0, 0, len, kind, flags][..], &stream.to_be_bytes()].concat();
                [head, payload].concat()
            },
        );
        (vec(frame, 0..8), vec(any::<u8>(), 0..20))
            .prop_map(|(frames, rest)| [frames.concat(), rest].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever comes, it is seen the same however it is cut, and all of it is used.
        #[test]
        fn cuts_do_not_matter(bytes in stream(), cuts in vec(1..9usize, 1..12)) {
            let whole = frames(std::iter::once(bytes.clone()));
            let mut rest = &bytes[..];
            let mut pieces = Vec::new();
            for cut in cuts.into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece.to_vec());
                rest = after;
            }
            prop_assert_eq!(frames(pieces.into_iter()), whole);
        }
    }

    #[test]
    fn the_preface_is_no_frame() {
        let mut reader = FrameReader::of_client();
        let mut input = &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"[..];
        assert_eq!(reader.next(&mut input), None);
        assert!(!reader.has_begun());
        let mut input = &b"\n\0\0\0\x04\0\0\0\0\0"[..];
        assert!(
            matches!(reader.next(&mut input), Some(Event::Begin(f)) if f.kind == kind::SETTINGS)
        );
        assert!(matches!(reader.next(&mut input), Some(Event::End(_))));
        assert!(reader.has_begun() && reader.is_between_frames());
    }
}
