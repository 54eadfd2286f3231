//! Bytes that an answer is expected to hold.

use bytes::Bytes;

/// Pieces that must come one behind the other, with anything between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload(Vec<Bytes>);

impl Payload {
    /// A payload of these pieces. Empty ones say nothing and are left out.
    pub fn new(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self(pieces.into_iter().filter(|piece| !piece.is_empty()).collect())
    }

    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes there are in all pieces.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether `data` holds all pieces in order.
    pub fn matches(&self, mut data: &[u8]) -> bool {
        self.0.iter().all(|piece| {
            let at = data.windows(piece.len()).position(|window| window == piece);
            let rest = at.and_then(|at| data.get(at + piece.len()..));
            data = rest.unwrap_or_default();
            rest.is_some()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_order_and_apart() {
        let payload = Payload::new(["ab", "", "cd"].map(Bytes::from));
        assert_eq!(payload.len(), 4);
        assert!(payload.matches(b"xabyycdz"));
        assert!(payload.matches(b"abcd"));
        assert!(!payload.matches(b"cdab"));
        assert!(!payload.matches(b"ab"));
        assert!(Payload::default().matches(b""));
        let twice = Payload::new(["aa", "aa"].map(Bytes::from));
        assert!(!twice.matches(b"aaa"), "pieces do not overlap");
    }
}
