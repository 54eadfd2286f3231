//! Telling broken compression from a broken message.
//!
//! `h2` answers both with the same error; Envoy says `COMPRESSION_ERROR` to the one and closes
//! without a word on the other. Only a block that was refused is looked at here.

/// 61 static entries (RFC 7541 appendix A), and as many dynamic ones as fit into 4096 bytes.
const LAST_INDEX: u64 = 61 + 4096 / 32;

/// Whether the representations of a header block (RFC 7541 section 6) are cut off, or refer to
/// what can't be there.
pub(super) fn is_broken(block: &[u8]) -> bool {
    let mut rest = block;
    while let Some(&first) = rest.first() {
        if walk(first, &mut rest).is_none() {
            return true;
        }
    }
    false
}

fn walk(first: u8, rest: &mut &[u8]) -> Option<()> {
    match first {
        0x80.. => {
            let index = integer(rest, 7)?;
            (1..=LAST_INDEX).contains(&index).then_some(())
        }
        // A new size of the table, which must not be larger than what was agreed.
        0x20..=0x3f => (integer(rest, 5)? <= 4096).then_some(()),
        _ => {
            let name = integer(rest, if first >= 0x40 { 6 } else { 4 })?;
            if name > LAST_INDEX {
                return None;
            }
            if name == 0 {
                string(rest)?;
            }
            string(rest)
        }
    }
}

fn string(rest: &mut &[u8]) -> Option<()> {
    rest.first()?;
    let len = usize::try_from(integer(rest, 7)?).ok()?;
    *rest = rest.get(len..)?;
    Some(())
}

/// RFC 7541 section 5.1.
fn integer(rest: &mut &[u8], prefix: u32) -> Option<u64> {
    let (first, mut tail) = rest.split_first()?;
    let most = (1 << prefix) - 1;
    let mut value = u64::from(*first) & most;
    if value == most {
        for shift in (0..35).step_by(7) {
            let (byte, next) = tail.split_first()?;
            tail = next;
            value += u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                *rest = tail;
                return Some(value);
            }
        }
        return None;
    }
    *rest = tail;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_and_lengths_must_be_possible() {
        // RFC 7541 appendix C.3.1 and C.4.1, and an uppercase name: sound as compression goes.
        assert!(!is_broken(b"\x82\x86\x84\x41\x0fwww.example.com"));
        let huffman = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        assert!(!is_broken(huffman));
        assert!(!is_broken(b"\x00\x03BadX\x00") || is_broken(b"\x00\x03Bad\x09x"));
        assert!(!is_broken(b"\x00\x03Bad\x01x\x3f\xe1\x1f"));
        for broken in
            [&b"\xff\xff\x0f"[..], b"\x80", b"\x41\x0fwww", b"\xff", b"\x3f\xe2\x1f", b"\x00\x01a"]
        {
            assert!(is_broken(broken), "{broken:?}");
        }
    }
}
