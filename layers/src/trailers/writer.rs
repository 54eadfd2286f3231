use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use super::{LAST, TrailerSlot};

/// Writes what hyper does, and trailers in their place.
///
/// It relies on how hyper writes: each write is offered all that is to be written, so once a body
/// has ended, the end of what is offered is the end of the message.
#[derive(Debug)]
pub struct TrailerWriter {
    slot: Arc<TrailerSlot>,
    ending: Option<Ending>,
}

/// A message of which no more than its end is to come.
#[derive(Debug)]
struct Ending {
    /// Bytes that hyper writes before its last chunk.
    before: usize,
    /// What goes out in place of that.
    section: Bytes,
}

impl TrailerWriter {
    /// A writer for the trailers that are left in `slot`.
    pub fn new(slot: Arc<TrailerSlot>) -> Self {
        Self { slot, ending: None }
    }

    /// The slot.
    pub fn slot(&self) -> &Arc<TrailerSlot> {
        &self.slot
    }

    /// Writes `bufs` by `write`; how much of them it is done with.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        mut write: impl FnMut(&mut Context<'_>, &[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Some(section) = self.slot.take() {
            self.ending = Ending::find(bufs, section);
        }
        let Some(ending) = &mut self.ending else {
            return write(cx, bufs);
        };
        let done = ready!(ending.poll_write(cx, bufs, write))?;
        if ending.section.is_empty() {
            self.ending = None;
        }
        Poll::Ready(Ok(done))
    }
}

impl Ending {
    /// `None` where the message does not end in chunks.
    fn find(bufs: &[IoSlice<'_>], section: Bytes) -> Option<Self> {
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        let tail = bufs.iter().rev().flat_map(|buf| buf.iter().rev()).take(LAST.len());
        if !tail.eq(LAST.iter().rev()) {
            tracing::debug!("trailers dropped: not the end of a chunked message");
            return None;
        }
        Some(Self { before: total - LAST.len(), section })
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        mut write: impl FnMut(&mut Context<'_>, &[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut left = self.before;
            let mut all = Vec::with_capacity(bufs.len() + 1);
            for buf in bufs {
                let part = buf.get(..left.min(buf.len())).unwrap_or_default();
                left -= part.len();
                if !part.is_empty() {
                    all.push(IoSlice::new(part));
                }
            }
            all.push(IoSlice::new(&self.section));
            let written = ready!(write(cx, &all))?;
            if written == 0 {
                return Poll::Ready(Ok(0));
            }
            let of_hyper = written.min(self.before);
            self.before -= of_hyper;
            self.section.advance(written - of_hyper);
            if self.section.is_empty() {
                return Poll::Ready(Ok(of_hyper + LAST.len()));
            }
            if of_hyper > 0 {
                return Poll::Ready(Ok(of_hyper));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;

    use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
    use http_body::Frame;
    use hyper_util::rt::TokioIo;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

    use super::super::TrailerBody;
    use super::*;

    /// A transport that takes few bytes at a time.
    struct Io {
        io: DuplexStream,
        writer: TrailerWriter,
        vectored: bool,
        most: usize,
    }

    impl AsyncRead for Io {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.io).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Io {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(buf)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let this = &mut *self;
            this.writer.poll_write(cx, bufs, |cx, bufs| {
                let bytes = bufs.iter().flat_map(|buf| buf.iter().copied());
                let bytes: Vec<u8> = bytes.take(this.most).collect();
                Pin::new(&mut this.io).poll_write(cx, &bytes)
            })
        }

        fn is_write_vectored(&self) -> bool {
            self.vectored
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.io).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.io).poll_shutdown(cx)
        }
    }

    /// Pieces, then trailers.
    struct Pieces(std::vec::IntoIter<Frame<Bytes>>);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.next().map(Ok))
        }
    }

    fn map(trailers: &[(&'static str, String)]) -> HeaderMap {
        trailers
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
            })
            .collect()
    }

    /// What hyper's server writes for these bodies, one after the other on one connection.
    fn written(bodies: Vec<(Vec<Vec<u8>>, HeaderMap)>, vectored: bool, most: usize) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async move {
            let (mut client, server) = tokio::io::duplex(1 << 20);
            let slot = Arc::new(TrailerSlot::default());
            let writer = TrailerWriter::new(Arc::clone(&slot));
            let io = Io { io: server, writer, vectored, most };
            let count = bodies.len();
            let bodies = std::sync::Mutex::new(bodies.into_iter());
            let service = hyper::service::service_fn(move |_: Request<hyper::body::Incoming>| {
                let (pieces, trailers) =
                    bodies.lock().expect("a lock").next().expect("a body for each request");
                let data = pieces.into_iter().map(|piece| Frame::data(Bytes::from(piece)));
                let frames: Vec<_> = data.chain([Frame::trailers(trailers)]).collect();
                let body = Pieces(frames.into_iter());
                let body = TrailerBody::new(body, &HeaderMap::new(), Some(&slot));
                async { Ok::<_, Infallible>(Response::new(body)) }
            });
            let request = "GET / HTTP/1.1\r\n\r\n".repeat(count - 1)
                + "GET / HTTP/1.1\r\nconnection: close\r\n\r\n";
            client.write_all(request.as_bytes()).await.expect("room");
            let serve = hyper::server::conn::http1::Builder::new()
                .auto_date_header(false)
                .serve_connection(TokioIo::new(io), service);
            let mut wire = Vec::new();
            let (served, read) = tokio::join!(serve, client.read_to_end(&mut wire));
            served.expect("served");
            read.expect("read");
            wire
        })
    }

    /// Reads what `written` wrote: data and trailers of each message.
    fn read(mut wire: &[u8]) -> Vec<(Vec<u8>, String)> {
        let mut all = Vec::new();
        while !wire.is_empty() {
            let head = wire.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
            let text = String::from_utf8_lossy(&wire[..head]);
            assert!(text.contains("transfer-encoding: chunked"), "{text}");
            wire = &wire[head..];
            let mut data = Vec::new();
            loop {
                let end = wire.windows(2).position(|w| w == b"\r\n").expect("a line");
                let size = std::str::from_utf8(&wire[..end]).expect("a size");
                let size = usize::from_str_radix(size, 16).expect("a size");
                wire = &wire[end + 2..];
                if size == 0 {
                    break;
                }
                data.extend_from_slice(&wire[..size]);
                assert_eq!(&wire[size..size + 2], b"\r\n");
                wire = &wire[size + 2..];
            }
            let end = if wire.starts_with(b"\r\n") {
                0
            } else {
                wire.windows(4).position(|w| w == b"\r\n\r\n").expect("an end") + 2
            };
            all.push((data, String::from_utf8_lossy(&wire[..end]).into_owned()));
            wire = &wire[end + 2..];
        }
        all
    }

    fn body() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<(&'static str, String)>)> {
        // Data that looks like the end of a message must not be taken for it.
        let piece = prop_oneof![
            Just(b"0\r\n\r\n".to_vec()),
            Just(b"\r\n0\r\n\r\n".to_vec()),
            vec(any::<u8>(), 1..40),
            (1..600usize).prop_map(|len| vec![b'\n'; len]),
        ];
        let trailer = (proptest::sample::select(vec!["x-a", "x-b", "grpc-status"]), "[ -~]{0,9}");
        (vec(piece, 0..20), vec(trailer, 0..4))
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 128,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Whatever the bodies are and however little the transport takes at a time, what goes out
        /// is what went in.
        #[test]
        fn all_of_it_arrives(
            bodies in vec(body(), 1..4),
            vectored in any::<bool>(),
            most in prop_oneof![1..8usize, 1..900usize, Just(usize::MAX)],
        ) {
            let expected: Vec<_> = bodies.iter().map(|(pieces, trailers)| {
                let mut lines = String::new();
                for (name, value) in &map(trailers) {
                    lines += &format!("{name}: {}\r\n", value.to_str().unwrap());
                }
                (pieces.concat(), lines)
            }).collect();
            let bodies = bodies.into_iter().map(|(p, t)| (p, map(&t))).collect();
            prop_assert_eq!(read(&written(bodies, vectored, most)), expected);
        }
    }

    #[test]
    fn trailers_of_what_has_a_length_are_dropped() {
        let slot = Arc::new(TrailerSlot::default());
        let headers: HeaderMap = [(http::header::CONTENT_LENGTH, 2.into())].into_iter().collect();
        let frames = vec![Frame::trailers(map(&[("x-a", "1".into())]))];
        let mut body = TrailerBody::new(Pieces(frames.into_iter()), &headers, Some(&slot));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let end = http_body::Body::poll_frame(Pin::new(&mut body), &mut cx);
        assert!(matches!(end, Poll::Ready(None)));
        assert!(slot.take().is_none());
    }
}
