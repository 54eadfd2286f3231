//! The fast path: one pass over a complete, plain head, which goes to hyper as it stands.
//!
//! Plain is a strict subset of what both Envoy and hyper accept and read alike. Anything else, also
//! an incomplete head, is left to `head`, which may copy.

use super::GateConfig;
use super::bytes::{HOST, TARGET, TOKEN, is, span, span_text, trim};
use super::framing::Framing;
use super::target::is_known_method;
use crate::config::model::UnderscoresAction;

/// What the gate must know of a head it lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlainHead {
    /// Bytes up to and including the empty line.
    pub(super) len: usize,
    pub(super) framing: Framing,
    /// An answer of 101 turns the connection into a tunnel.
    pub(super) upgrade: bool,
}

/// The plain head `input` begins with, if it does.
#[inline]
pub(super) fn scan(input: &[u8], config: &GateConfig) -> Option<PlainHead> {
    let mut rest = request_line(input)?;
    let mut headers = 0usize;
    let mut seen_host = false;
    let mut length = None;
    let mut chunked = false;
    let mut upgrade = false;
    loop {
        if let Some(after) = rest.strip_prefix(b"\r\n") {
            let len = input.len().checked_sub(after.len())?;
            if headers > config.max_headers || len > config.max_head_bytes {
                return None;
            }
            let framing = match (length, chunked) {
                (Some(_), true) => return None,
                (None, true) => Framing::Chunked,
                (Some(length), false) => Framing::Length(length),
                (None, false) => Framing::Empty,
            };
            return Some(PlainHead { len, framing, upgrade });
        }
        let (name, value, after) = header_line(rest)?;
        headers += 1;
        // The length tells the few names that matter from nearly all others.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                let valid = trim(value).iter().all(|&byte| is(byte, HOST));
                if seen_host || !valid {
                    return None;
                }
                seen_host = true;
            }
            6 if name.eq_ignore_ascii_case(b"expect") => return None,
            7 if name.eq_ignore_ascii_case(b"upgrade") => upgrade = true,
            10 if name.eq_ignore_ascii_case(b"connection") => {
                let value = trim(value);
                if !value.eq_ignore_ascii_case(b"close")
                    && !value.eq_ignore_ascii_case(b"keep-alive")
                {
                    return None;
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if length.is_some() {
                    return None;
                }
                length = Some(short_number(trim(value))?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if chunked || !trim(value).eq_ignore_ascii_case(b"chunked") {
                    return None;
                }
                chunked = true;
            }
            _ => {}
        }
        if config.underscores != UnderscoresAction::Allow && name.contains(&b'_') {
            return None;
        }
        rest = after;
    }
}

/// `METHOD SP /target SP HTTP/1.1 CRLF`, nothing else; returns what follows.
#[inline]
fn request_line(input: &[u8]) -> Option<&[u8]> {
    let rest = if let Some(rest) = input.strip_prefix(b"GET ") {
        rest
    } else {
        let (method, rest) = input.split_at_checked(span(input, TOKEN))?;
        // CONNECT has no path, so what follows will not do for it.
        if !is_known_method(method) || method == b"CONNECT" {
            return None;
        }
        rest.strip_prefix(b" ")?
    };
    let (target, rest) = rest.split_at_checked(span(rest, TARGET))?;
    if target.first() != Some(&b'/') {
        return None;
    }
    rest.strip_prefix(b" HTTP/1.1\r\n")
}

/// One `name: value CRLF`; returns name, value and what follows.
#[inline]
fn header_line(input: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = input.split_at_checked(span(input, TOKEN))?;
    let text = rest.strip_prefix(b":")?;
    if name.is_empty() {
        return None;
    }
    let mut end = 0;
    loop {
        let tail = text.get(end..)?;
        let plain = span_text(tail);
        end += plain;
        match tail.get(plain..)? {
            [b'\r', b'\n', after @ ..] => return Some((name, text.get(..end)?, after)),
            [b'\t', ..] => end += 1,
            _ => return None,
        }
    }
}

/// Digits only, and too few to overflow.
fn short_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, &byte| {
        byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(input: &str) -> Option<PlainHead> {
        scan(input.as_bytes(), &GateConfig::default())
    }

    #[test]
    fn knows_framing_and_length_of_plain_heads() {
        let head = "GET /a?b=c HTTP/1.1\r\nHost: x.example:80\r\nx:\ta \u{e9}\tb \r\n\r\n";
        let found = PlainHead { len: head.len(), framing: Framing::Empty, upgrade: false };
        assert_eq!(plain(head), Some(found));
        assert_eq!(plain(&format!("{head}GET")), Some(found));
        let head = "POST /a HTTP/1.1\r\nhost:\r\ncontent-length:  007 \r\nupgrade: x\r\n\r\n";
        let framing = Framing::Length(7);
        assert_eq!(plain(head), Some(PlainHead { len: head.len(), framing, upgrade: true }));
        let head = "PUT /a HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n";
        let framing = Framing::Chunked;
        assert_eq!(plain(head), Some(PlainHead { len: head.len(), framing, upgrade: false }));
    }

    #[test]
    fn leaves_everything_else_to_the_slow_path() {
        for head in [
            "",
            "GET /a HTTP/1.1\r\nhost: a\r\n",
            "GET  /a HTTP/1.1\r\n\r\n",
            "GET /a HTTP/1.0\r\n\r\n",
            "GET /a HTTP/1.1\n\n",
            "get /a HTTP/1.1\r\n\r\n",
            "BREW /a HTTP/1.1\r\n\r\n",
            "CONNECT /a HTTP/1.1\r\n\r\n",
            "GET * HTTP/1.1\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\n\r\n",
            "GET /a#b HTTP/1.1\r\n\r\n",
            "GET /a<b HTTP/1.1\r\n\r\n",
            "\r\nGET /a HTTP/1.1\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: a b\r\n\r\n",
            "GET /a HTTP/1.1\r\nx : a\r\n\r\n",
            "GET /a HTTP/1.1\r\nx: a\nb: c\r\n\r\n",
            "GET /a HTTP/1.1\r\nx: a\r\n b\r\n\r\n",
            "GET /a HTTP/1.1\r\nx: a\u{1}\r\n\r\n",
            "GET /a HTTP/1.1\r\nexpect: x\r\n\r\n",
            "POST /a HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
            "POST /a HTTP/1.1\r\ncontent-length: +1\r\n\r\n",
            "POST /a HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST /a HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
        ] {
            assert_eq!(plain(head), None, "{head:?}");
        }
    }

    #[test]
    fn limits_are_exact() {
        let config = GateConfig { max_headers: 2, max_head_bytes: 40, ..GateConfig::default() };
        let head =
            |fill: usize| format!("GET / HTTP/1.1\r\na: {}\r\nb: 1\r\n\r\n", "x".repeat(fill));
        assert_eq!(head(10).len(), 39);
        assert!(scan(head(10).as_bytes(), &config).is_some());
        assert!(scan(head(11).as_bytes(), &config).is_some());
        assert!(scan(head(12).as_bytes(), &config).is_none());
        assert!(scan(b"GET / HTTP/1.1\r\na:1\r\nb:1\r\nc:1\r\n\r\n", &config).is_none());
    }

    /// `cargo test --profile fast --lib -- --ignored --nocapture nanoseconds`
    #[test]
    #[ignore = "a measurement"]
    fn nanoseconds_per_head() {
        let head = b"GET /service/1?user=42&page=3 HTTP/1.1\r\nHost: front.example:8080\r\n\
            User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n\
            Accept-Encoding: gzip, br\r\nCookie: session=0123456789abcdef\r\n\r\n";
        let config = GateConfig::default();
        let rounds = 2_000_000u32;
        for _ in 0..3 {
            let start = std::time::Instant::now();
            for _ in 0..rounds {
                let input = std::hint::black_box(&head[..]);
                assert!(std::hint::black_box(scan(input, &config)).is_some());
            }
            let each = start.elapsed() / rounds;
            println!("{} bytes: {each:?} per head", head.len());
        }
    }
}
