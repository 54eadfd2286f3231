//! Where a head ends, found as it arrives.

use super::RequestLine;
use crate::connection::http1::refusal::RefusalKind;

/// Where a head ends, looked for bit by bit as it arrives.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::connection::http1) struct EndFinder {
    /// Bytes looked at.
    seen: usize,
    /// Where the current line starts.
    line: usize,
    /// Whether the request line has been judged.
    judged: bool,
}

/// What is there of a head.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::connection::http1) enum Found {
    /// Not all of it.
    Partial,
    /// This many bytes, with the empty line.
    Complete(usize),
    /// The request line alone is enough to refuse it.
    Refused(RefusalKind),
}

impl EndFinder {
    /// Looks on in `input`, which starts with the head and has grown since the last call.
    ///
    /// A request line is judged as soon as it is complete, as Envoy does.
    pub(in crate::connection::http1) fn find(&mut self, input: &[u8]) -> Found {
        while let Some(tail) = input.get(self.seen..) {
            let Some(offset) = tail.iter().position(|&byte| byte == b'\n') else {
                self.seen = input.len();
                return Found::Partial;
            };
            let line_end = self.seen + offset;
            let line = input.get(self.line..line_end).unwrap_or_default();
            self.seen = line_end + 1;
            self.line = self.seen;
            if !self.judged {
                self.judged = true;
                // Whether a URL will do is for later.
                match RequestLine::parse(line, true) {
                    Err(RefusalKind::BadRequest) => {
                        return Found::Refused(RefusalKind::BadRequest);
                    }
                    // HTTP/0.9 has no headers, so this is all.
                    Ok(request) if request.version.is_empty() => {
                        return Found::Complete(self.seen);
                    }
                    _ => {}
                }
            } else if line.is_empty() || line == b"\r" {
                return Found::Complete(self.seen);
            }
        }
        Found::Partial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_found_whatever_the_steps() {
        for (input, len) in [
            ("GET / HTTP/1.1\r\na: b\r\n\r\nrest", 24),
            ("GET / HTTP/1.1\n\nrest", 16),
            ("GET / HTTP/1.1\r\n\nrest", 17),
            ("GET / HTTP/1.1\r\n\r\r\na:b\n\nrest", 24),
            ("GET /\nrest", 6),
        ] {
            for step in 1..input.len() {
                let mut finder = EndFinder::default();
                let found =
                    (0..=input.len()).step_by(step).chain([input.len()]).find_map(
                        |end| match finder.find(&input.as_bytes()[..end]) {
                            Found::Complete(len) => Some(len),
                            _ => None,
                        },
                    );
                assert_eq!(found, Some(len), "{input:?} in steps of {step}");
            }
        }
    }
}
