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
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

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

    /// An integer of so many bits behind `first` (RFC 7541 section 5.1).
    fn integer(first: u8, prefix: u32, value: u64) -> Vec<u8> {
        let most = (1 << prefix) - 1;
        if value < most {
            return vec![first | u8::try_from(value).expect("small")];
        }
        let mut bytes = vec![first | u8::try_from(most).expect("small")];
        let mut rest = value - most;
        while rest >= 128 {
            bytes.push(u8::try_from(rest % 128).expect("small") | 0x80);
            rest /= 128;
        }
        bytes.push(u8::try_from(rest).expect("small"));
        bytes
    }

    fn string() -> impl Strategy<Value = Vec<u8>> {
        (any::<bool>(), vec(any::<u8>(), 0..300)).prop_map(|(huffman, text)| {
            let first = if huffman { 0x80 } else { 0 };
            [integer(first, 7, text.len() as u64), text].concat()
        })
    }

    /// Representations as an encoder may write them.
    fn representation() -> impl Strategy<Value = Vec<u8>> {
        let literal = (select(vec![(0x40, 6), (0x00, 4), (0x10, 4)]), 0..=LAST_INDEX, string())
            .prop_flat_map(|((first, prefix), name, value)| {
                string().prop_map(move |new_name| {
                    let new_name = if name == 0 { new_name } else { Vec::new() };
                    [integer(first, prefix, name), new_name, value.clone()].concat()
                })
            });
        prop_oneof![
            (1..=LAST_INDEX).prop_map(|index| integer(0x80, 7, index)),
            (0..=4096u64).prop_map(|size| integer(0x20, 5, size)),
            literal,
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// No bytes make it panic, or read on and on.
        #[test]
        fn any_bytes_are_judged(block in vec(any::<u8>(), 0..200)) {
            is_broken(&block);
        }

        /// What an encoder may write is not broken, and is if its last representation is cut.
        #[test]
        fn only_what_is_cut_off_is_broken(
            block in vec(representation(), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let (whole, last) = (block.concat(), block[block.len() - 1].len());
            prop_assert!(!is_broken(&whole));
            if last > 1 {
                let missing = 1 + cut.index(last - 1);
                prop_assert!(is_broken(&whole[..whole.len() - missing]));
            }
        }
    }
}
