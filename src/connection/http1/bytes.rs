//! Byte classes of request heads, as Envoy 1.40 has them (measured byte by byte).

/// A byte of a method or a header name (RFC 9110 section 5.6.2).
pub(super) const TOKEN: u8 = 1;
/// A byte that may stand in a path and in a query, and that `http::Uri` carries in both.
pub(super) const TARGET: u8 = 2;
/// A byte of a Host value.
pub(super) const HOST: u8 = 4;
/// A byte of the host in an absolute-form target: narrower than `HOST`.
pub(super) const URL_HOST: u8 = 8;

/// Class bits of each byte.
static CLASSES: [u8; 256] = classes();

/// Whether `byte` is of `class`.
#[inline]
pub(super) fn is(byte: u8, class: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|bits| bits & class != 0)
}

/// How many bytes at the start of `input` are of `class`.
#[inline]
pub(super) fn span(input: &[u8], class: u8) -> usize {
    input.iter().position(|&byte| !is(byte, class)).unwrap_or(input.len())
}

/// How many bytes at the start of `input` are neither control bytes nor DEL. Bytes above 0x7f are
/// neither: Envoy passes them in values. Eight at a time, for values are most of a head.
#[inline]
pub(super) fn span_text(input: &[u8]) -> usize {
    let (words, tail) = input.as_chunks::<8>();
    let mut seen = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let marks = controls(word);
        if marks != 0 {
            return seen + (marks.trailing_zeros() / 8) as usize;
        }
        seen += 8;
    }
    seen + tail.iter().position(|&byte| byte < 0x20 || byte == 0x7f).unwrap_or(tail.len())
}

/// Without blanks and control bytes at both ends, as Envoy trims values.
pub(super) fn trim(mut input: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = input
        && *first <= b' '
    {
        input = rest;
    }
    while let [rest @ .., last] = input
        && *last <= b' '
    {
        input = rest;
    }
    input
}

/// The high bit of each byte that is below 0x20 or DEL. A borrow can mark a byte wrongly, but only
/// one above a byte marked rightly, and only the lowest mark is used.
#[inline]
fn controls(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let below_blank = word.wrapping_sub(ONES * 0x20) & !word;
    let no_del = word ^ (ONES * 0x7f);
    let del = no_del.wrapping_sub(ONES) & !no_del;
    (below_blank | del) & HIGH
}

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0u8;
    loop {
        let alnum = byte.is_ascii_alphanumeric();
        let mut bits = 0;
        if alnum
            || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-')
            || matches!(byte, b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
        {
            bits |= TOKEN;
        }
        if matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'`') {
            bits |= TARGET;
        }
        if alnum
            || matches!(byte, b'!' | b'$'..=b'.' | b':' | b';' | b'=' | b'@' | b'[' | b']')
            || matches!(byte, b'_' | b'~')
        {
            bits |= HOST;
        }
        if alnum || matches!(byte, b'-' | b'.') {
            bits |= URL_HOST;
        }
        table[byte as usize] = bits;
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_agree_with_a_plain_loop_at_every_place() {
        for special in [0x00, 0x01, 0x09, 0x0a, 0x0d, 0x1f, 0x7f] {
            for at in 0..40 {
                for filler in [b' ', b'a', 0x7e, 0x80, 0xff] {
                    let mut input = vec![filler; 40];
                    input[at] = special;
                    assert_eq!(span_text(&input), at, "{special:#x} at {at} among {filler:#x}");
                    // What follows the first special byte must not matter.
                    input[39] = 0x7f;
                    assert_eq!(span_text(&input), at);
                }
            }
        }
        assert_eq!(span_text(b"no control byte in these words"), 30);
    }

    #[test]
    fn trims_blanks_and_controls() {
        assert_eq!(trim(b" \t a b\r\n "), b"a b");
        assert_eq!(trim(b" \r "), b"");
    }

    #[test]
    fn classes_are_those_measured() {
        let all = |class| (0..=255u8).filter(|&b| is(b, class)).collect::<Vec<_>>();
        assert_eq!(all(TOKEN).len(), 62 + 15);
        assert_eq!(all(TARGET).len(), 94 - 5);
        assert_eq!(all(HOST).len(), 62 + 20);
        assert!(!is(b'/', HOST) && !is(b'%', URL_HOST) && is(b'%', HOST));
    }
}
