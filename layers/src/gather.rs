//! Writing head and body of a message with one system call.

use std::io::IoSlice;

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub enum Gathered<'a> {
    /// With a plain `send`.
    One(&'a [u8]),
    /// With a vectored one.
    Several(&'a [IoSlice<'a>]),
}

/// How many bytes a vectored write is asked to write.
pub fn total(bufs: &[IoSlice<'_>]) -> usize {
    bufs.iter().map(|buf| buf.len()).sum()
}

/// Has several buffers written by one plain `send` where they are small: for the kernel that costs less
/// than a vector of them, and most heads come with a small body or none. Larger ones are not
/// copied.
///
/// ```
/// use std::io::{IoSlice, Write};
///
/// use front_proxy_layers::gather::{Gathered, gathered};
///
/// let mut out = Vec::new();
/// let written = gathered(&[IoSlice::new(b"head"), IoSlice::new(b"body")], |bufs| match bufs {
///     Gathered::One(buf) => out.write(buf),
///     Gathered::Several(bufs) => out.write_vectored(bufs),
/// });
/// assert_eq!(written.unwrap(), 8);
/// assert_eq!(out, b"headbody");
/// ```
pub fn gathered<T>(bufs: &[IoSlice<'_>], write: impl FnOnce(Gathered<'_>) -> T) -> T {
    const SMALL: usize = 1024;
    let mut filled = bufs.iter().filter(|buf| !buf.is_empty());
    let (first, second) = (filled.next(), filled.next());
    match (first, second) {
        (Some(only), None) => write(Gathered::One(only)),
        _ if total(bufs) <= SMALL => {
            let mut small = [0; SMALL];
            let mut len = 0;
            for buf in bufs {
                if let Some(room) = small.get_mut(len..len + buf.len()) {
                    room.copy_from_slice(buf);
                    len += buf.len();
                }
            }
            write(Gathered::One(small.get(..len).unwrap_or_default()))
        }
        _ => write(Gathered::Several(bufs)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written, and whether as several buffers.
    fn written(bufs: &[&[u8]]) -> (Vec<u8>, bool) {
        let slices: Vec<_> = bufs.iter().map(|buf| IoSlice::new(buf)).collect();
        gathered(&slices, |bufs| match bufs {
            Gathered::One(buf) => (buf.to_vec(), false),
            Gathered::Several(bufs) => (bufs.iter().flat_map(|buf| buf.to_vec()).collect(), true),
        })
    }

    #[test]
    fn small_buffers_go_out_together() {
        assert_eq!(written(&[b"head", b"", b"body"]), (b"headbody".to_vec(), false));
        assert_eq!(written(&[b"", b"head"]), (b"head".to_vec(), false));
        assert_eq!(written(&[]), (Vec::new(), false));
        let full = [7; 512];
        assert_eq!(written(&[&full, &full]), (vec![7; 1024], false));
    }

    #[test]
    fn large_ones_are_not_copied() {
        let body = vec![7; 1021];
        let (bytes, vectored) = written(&[b"head", &body]);
        assert_eq!(bytes.len(), 1025);
        assert!(vectored);
        let (bytes, vectored) = written(&[&vec![7; 100_000]]);
        assert_eq!(bytes.len(), 100_000);
        assert!(!vectored, "one buffer needs no vector");
    }
}
