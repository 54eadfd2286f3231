//! Writing head and body of a message with one system call.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// How many bytes a vectored write is asked to write.
pub fn total(bufs: &[io::IoSlice<'_>]) -> usize {
    bufs.iter().map(|buf| buf.len()).sum()
}

/// Writes several buffers by one plain `send` where they are small: for the kernel that costs less
/// than a vector of them, and most heads come with a small body or none. Larger ones are not
/// copied.
pub fn poll_write_gathered<IO>(
    io: Pin<&mut IO>,
    cx: &mut Context<'_>,
    bufs: &[io::IoSlice<'_>],
) -> Poll<io::Result<usize>>
where
    IO: AsyncWrite,
{
    const SMALL: usize = 1024;
    let mut filled = bufs.iter().filter(|buf| !buf.is_empty());
    let (first, second) = (filled.next(), filled.next());
    match (first, second) {
        (Some(only), None) => io.poll_write(cx, only),
        _ if total(bufs) <= SMALL => {
            let mut small = [0; SMALL];
            let mut len = 0;
            for buf in bufs {
                if let Some(room) = small.get_mut(len..len + buf.len()) {
                    room.copy_from_slice(buf);
                    len += buf.len();
                }
            }
            io.poll_write(cx, small.get(..len).unwrap_or_default())
        }
        _ => io.poll_write_vectored(cx, bufs),
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::task::Waker;

    use super::*;

    /// Keeps what is written, and by how many buffers at a time.
    #[derive(Default)]
    struct Sink {
        bytes: Vec<u8>,
        vectored: bool,
    }

    impl AsyncWrite for Sink {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.bytes.extend_from_slice(buf);
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.vectored = true;
            bufs.iter().for_each(|buf| self.bytes.extend_from_slice(buf));
            Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn written(bufs: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut sink = Sink::default();
        let slices: Vec<_> = bufs.iter().map(|buf| IoSlice::new(buf)).collect();
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(len)) = poll_write_gathered(Pin::new(&mut sink), &mut cx, &slices)
        else {
            panic!("the sink is always ready");
        };
        assert_eq!(len, sink.bytes.len());
        (sink.bytes, sink.vectored)
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
