//! Pages in pieces.

use bytes::Bytes;

/// A piece is sent once it is this long.
const PIECE: usize = 64 * 1024;

/// Renders `items` one after the other when pieces are asked for.
pub(super) fn chunks<T>(
    mut items: impl Iterator<Item = T>,
    mut render: impl FnMut(&mut String, T),
) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let mut piece = String::new();
        while piece.len() < PIECE {
            let Some(item) = items.next() else { break };
            render(&mut piece, item);
        }
        (!piece.is_empty()).then(|| Bytes::from(piece))
    })
}
