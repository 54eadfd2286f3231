//! Where a request body ends, so that the gate knows where the next head begins.

use super::GateConfig;
use super::head::read_trailers;
use super::refusal::RefusalKind;

/// How the body of a request is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// No body.
    Empty,
    /// `content-length`
    Length(u64),
    /// `transfer-encoding: chunked`
    Chunked,
}

/// Follows a chunked body (RFC 9112 section 7.1).
///
/// Its plain parts (`HEX CRLF data CRLF`) pass as they stand. What Envoy puts up with besides is made
/// plain: chunk extensions go, so does anything between the data of a chunk and the end of its
/// line, and trailers are checked and written anew, or dropped.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
    /// Trailers so far, raw.
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a size, `digits` of which have been there.
    Size { size: u64, digits: bool },
    /// Behind a size: whatever stands before the CR is dropped.
    Extension { size: u64 },
    /// Behind the CR of a size line.
    SizeEnd { size: u64 },
    /// In a chunk, of which this much is left.
    Data { left: u64 },
    /// Behind a chunk.
    DataEnd,
    /// Behind a chunk and its CR.
    DataEndCr,
    /// Behind a chunk and something that does not belong there; what hyper still has to get is
    /// CRLF, or LF.
    Stray { cr_passed: bool },
    /// Behind the line of the last chunk, and behind this many CRs: an empty line has one at most,
    /// a line of more is skipped.
    Last { crs: u8 },
    /// In trailers. `line` is where their current line starts.
    Trailers { line: usize },
}

impl Default for State {
    fn default() -> Self {
        Self::Size { size: 0, digits: false }
    }
}

/// How far a step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All input was used and the body goes on.
    More,
    /// The body ended.
    Done,
    /// What follows must be rewritten ([`Chunked::rewrite`]).
    NotPlain,
    /// Envoy refuses it.
    Refused(RefusalKind),
}

impl Chunked {
    /// How many bytes of `input` may pass as they stand, and why no more.
    pub(super) fn pass(&mut self, input: &[u8]) -> (usize, Progress) {
        let mut at = 0;
        loop {
            let tail = input.get(at..).unwrap_or_default();
            let Some(&byte) = tail.first() else {
                return (at, Progress::More);
            };
            let next = match (self.state, byte) {
                (State::Data { left }, _) => {
                    let (taken, next) = in_data(left, tail.len());
                    at += taken;
                    self.state = next;
                    continue;
                }
                (State::Size { size, digits: true }, b'\r') => State::SizeEnd { size },
                (State::Size { digits: true, .. }, b' ' | b'\t' | b';') => {
                    return (at, Progress::NotPlain);
                }
                (State::Size { size, .. }, digit) => match add_digit(size, digit) {
                    Some(size) => State::Size { size, digits: true },
                    None => return (at, Progress::Refused(RefusalKind::BadRequest)),
                },
                (State::SizeEnd { size: 0 }, b'\n') => State::Last { crs: 0 },
                (State::SizeEnd { size }, b'\n') => State::Data { left: size },
                (State::SizeEnd { .. }, _) => {
                    return (at, Progress::Refused(RefusalKind::BadRequest));
                }
                (State::DataEnd, b'\r') => State::DataEndCr,
                (State::DataEndCr, b'\n') => State::default(),
                (State::Last { crs }, _) => {
                    if crs == 0 && tail.starts_with(b"\r\n") {
                        self.state = State::default();
                        return (at + 2, Progress::Done);
                    }
                    return (at, Progress::NotPlain);
                }
                _ => return (at, Progress::NotPlain),
            };
            self.state = next;
            at += 1;
        }
    }

    /// Writes the plain form of `input` to `out`; returns how much of `input` it used.
    pub(super) fn rewrite(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        config: &GateConfig,
    ) -> (usize, Progress) {
        let mut at = 0;
        loop {
            let tail = input.get(at..).unwrap_or_default();
            let Some(&byte) = tail.first() else {
                return (at, Progress::More);
            };
            match (self.state, byte) {
                (State::Size { size, digits: true }, b' ' | b'\t' | b';') => {
                    self.state = State::Extension { size };
                }
                (State::Extension { size }, b'\r') => {
                    out.push(b'\r');
                    self.state = State::SizeEnd { size };
                }
                (State::Extension { .. }, b'\n') => {
                    return (at, Progress::Refused(RefusalKind::BadRequest));
                }
                (State::Extension { .. }, _) => {}
                (State::DataEnd, _) if byte != b'\r' => {
                    self.state = State::Stray { cr_passed: false };
                    continue;
                }
                (State::DataEndCr, _) if byte != b'\n' => {
                    self.state = State::Stray { cr_passed: true };
                    continue;
                }
                (State::Stray { cr_passed }, b'\n') => {
                    out.extend_from_slice(if cr_passed { b"\n" } else { b"\r\n" });
                    self.state = State::default();
                }
                (State::Stray { .. }, _) => {}
                (State::Last { crs }, b'\r') => {
                    self.state = State::Last { crs: crs.saturating_add(1) };
                }
                (State::Last { crs: 2.. }, b'\n') => self.state = State::Last { crs: 0 },
                (State::Last { .. }, b'\n') => {
                    out.extend_from_slice(b"\r\n");
                    self.state = State::default();
                    return (at + 1, Progress::Done);
                }
                (State::Last { .. }, _) => {
                    self.state = State::Trailers { line: 0 };
                    continue;
                }
                (State::Trailers { line }, _) => {
                    if let Some(end) = self.trailer_byte(byte, line, config) {
                        let progress = self.end_trailers(end, out, config);
                        return (at + 1, progress);
                    }
                }
                _ => {
                    let (passed, progress) = self.pass(tail);
                    out.extend_from_slice(tail.get(..passed).unwrap_or_default());
                    at += passed;
                    if progress != Progress::NotPlain {
                        return (at, progress);
                    }
                    continue;
                }
            }
            at += 1;
        }
    }

    /// Takes one byte of the trailers; says when they are complete or too long.
    fn trailer_byte(
        &mut self,
        byte: u8,
        line: usize,
        config: &GateConfig,
    ) -> Option<Result<(), RefusalKind>> {
        self.trailers.push(byte);
        if self.trailers.len() > config.max_head_bytes {
            return Some(Err(RefusalKind::HeadTooLarge));
        }
        if byte != b'\n' {
            return None;
        }
        let text = self.trailers.get(line..).unwrap_or_default();
        if text == b"\n" || text == b"\r\n" {
            return Some(Ok(()));
        }
        self.state = State::Trailers { line: self.trailers.len() };
        None
    }

    fn end_trailers(
        &mut self,
        end: Result<(), RefusalKind>,
        out: &mut Vec<u8>,
        config: &GateConfig,
    ) -> Progress {
        let trailers = std::mem::take(&mut self.trailers);
        match end.and_then(|()| read_trailers(&trailers, config)) {
            Ok(plain) => {
                out.extend_from_slice(&plain);
                self.state = State::default();
                Progress::Done
            }
            Err(kind) => Progress::Refused(kind),
        }
    }
}

/// How many of `available` bytes are data of the chunk, and the state behind them.
fn in_data(left: u64, available: usize) -> (usize, State) {
    match usize::try_from(left) {
        Ok(left) if left <= available => (left, State::DataEnd),
        _ => (available, State::Data { left: left.saturating_sub(available as u64) }),
    }
}

fn add_digit(size: u64, digit: u8) -> Option<u64> {
    let value = char::from(digit).to_digit(16)?;
    size.checked_mul(16)?.checked_add(u64::from(value))
}
