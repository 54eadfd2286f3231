//! The byte stream to an upstream, plain or TLS, counted.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::waker::Readable;
use crate::cluster::ClusterStats;
use crate::gather::{Gathered, gathered, total};
use crate::interim::is_passed;
use crate::stats::Buffered;
#[cfg(feature = "tls")]
use crate::tls_names;
use crate::trailers::{TrailerSlot, TrailerWriter};

/// A connection to an upstream, as far as logs can tell of it.
#[derive(Debug, Default)]
pub(crate) struct UpstreamConnection {
    /// Its number.
    pub(crate) id: u64,
    /// Our end.
    pub(crate) local_address: Option<SocketAddr>,
    /// `TLSv1.3`
    pub(crate) tls_version: Option<&'static str>,
    pub(crate) tls_cipher: Option<Box<str>>,
}

/// A connected stream to an upstream.
#[derive(Debug)]
pub(crate) struct UpstreamIo {
    stream: Stream,
    stats: Arc<ClusterStats>,
    buffered: Buffered,
    expects: Arc<ExpectsHead>,
    stalled: Arc<Stalled>,
    trailers: Option<TrailerWriter>,
    /// On a connection that goes into the pool, and what the runtime gets of it.
    readable: Option<(Arc<Readable>, Waker)>,
}

/// Whether the upstream has had no room for what was last written to it.
#[derive(Debug, Default)]
pub(super) struct Stalled(AtomicBool);

impl Stalled {
    pub(super) fn is_stalled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    fn set(&self, stalled: bool) {
        if self.is_stalled() != stalled {
            self.0.store(stalled, Ordering::Relaxed);
        }
    }
}

/// Whether the head of a response is due on an HTTP/1 connection, and to whom.
///
/// Interim responses (1xx) are nothing to hyper's client, but the first is counted. So they are looked
/// for where their bytes come in, which costs a comparison for each read while a head is due.
#[derive(Debug, Default)]
pub(super) struct ExpectsHead(AtomicU8);

impl ExpectsHead {
    const NO: u8 = 0;
    const EXTERNAL: u8 = 1;
    const INTERNAL: u8 = 2;
    /// An interim response announced a body.
    const MALFORMED: u8 = 3;
    /// The upstream is tired of waiting for a request.
    const GOODBYE: u8 = 4;
    /// An interim response was counted.
    const COUNTED: u8 = 5;

    /// A request goes out.
    pub(super) fn begin(&self, internal: bool) {
        self.0.store(if internal { Self::INTERNAL } else { Self::EXTERNAL }, Ordering::Relaxed);
    }

    /// Its response has come. False if what came before it was malformed.
    pub(super) fn end(&self) -> bool {
        self.0.swap(Self::NO, Ordering::Relaxed) != Self::MALFORMED
    }

    /// Whether what was last read says that no request came in time (408).
    pub(super) fn is_goodbye(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::GOODBYE
    }

    #[inline]
    fn look(&self, read: &[u8], stats: &ClusterStats) {
        if self.0.load(Ordering::Relaxed) == Self::NO {
            if read.starts_with(b"HTTP/1.") && read.get(9..12) == Some(b"408") {
                self.0.store(Self::GOODBYE, Ordering::Relaxed);
            }
        } else if read.starts_with(b"HTTP/1.1 1") {
            self.count(read, stats);
        }
    }

    /// Counts the first interim response, if it is among those that `read` begins with. One that
    /// comes in pieces counts by its first piece.
    #[cold]
    fn count(&self, mut read: &[u8], stats: &ClusterStats) {
        while read.starts_with(b"HTTP/1.1 1") {
            let status = read.get(9..12).and_then(|code| StatusCode::from_bytes(code).ok());
            // A 101 is the response: nothing follows it but the other protocol.
            match status {
                Some(status) if status != StatusCode::SWITCHING_PROTOCOLS => {
                    let before = self.0.load(Ordering::Relaxed);
                    if is_passed(status) && before <= Self::INTERNAL {
                        stats.charge(status, before == Self::INTERNAL);
                        self.0.store(Self::COUNTED, Ordering::Relaxed);
                    }
                }
                _ => return,
            }
            let end = read.windows(4).position(|w| w == b"\r\n\r\n");
            if end.is_some_and(|end| read.get(..end).is_some_and(announces_body)) {
                return self.0.store(Self::MALFORMED, Ordering::Relaxed);
            }
            read = end.and_then(|end| read.get(end + 4..)).unwrap_or_default();
        }
    }
}

/// Whether a head says that a body follows. An interim response has none (RFC 9110 section 15.2);
/// Envoy refuses one that says so, and hyper does not look.
fn announces_body(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').skip(1).any(|line| {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        name.eq_ignore_ascii_case(b"transfer-encoding")
            || (name.eq_ignore_ascii_case(b"content-length") && value != b"0")
    })
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl UpstreamIo {
    pub(crate) fn plain(stream: TcpStream, stats: Arc<ClusterStats>) -> Self {
        Self::new(Stream::Plain(stream), stats)
    }

    #[cfg(feature = "tls")]
    pub(crate) fn tls(
        stream: tokio_rustls::client::TlsStream<TcpStream>,
        stats: Arc<ClusterStats>,
    ) -> Self {
        Self::new(Stream::Tls(Box::new(stream)), stats)
    }

    fn new(stream: Stream, stats: Arc<ClusterStats>) -> Self {
        let buffered = Buffered::new(&stats.cx_rx_bytes_buffered, &stats.cx_tx_bytes_buffered);
        let (expects, stalled) = (Arc::default(), Arc::default());
        Self { stream, stats, buffered, expects, stalled, trailers: None, readable: None }
    }

    /// Writes trailers of requests from now on: those that are left here.
    pub(super) fn enable_trailers(&mut self) -> Arc<TrailerSlot> {
        let slot = Arc::new(TrailerSlot::default());
        self.trailers = Some(TrailerWriter::new(Arc::clone(&slot)));
        slot
    }

    /// Reads from now on only where the runtime has said that there is something. TLS reads and
    /// writes as it likes, and is asked each time.
    pub(super) fn follow(&mut self, readable: &Arc<Readable>) {
        if matches!(self.stream, Stream::Plain(_)) {
            self.readable = Some((Arc::clone(readable), Waker::from(Arc::clone(readable))));
        }
    }

    /// Whoever reads is woken from now on: a tunnel has its own tasks.
    pub(super) fn unfollow(&mut self) {
        self.readable = None;
    }

    /// Says when a response head is due.
    pub(super) fn expects(&self) -> &Arc<ExpectsHead> {
        &self.expects
    }

    /// Says whether the upstream takes what is written.
    pub(super) fn stalled(&self) -> &Arc<Stalled> {
        &self.stalled
    }

    /// What there is to tell of the connection.
    pub(super) fn describe(&self, id: u64) -> UpstreamConnection {
        match &self.stream {
            Stream::Plain(stream) => UpstreamConnection {
                id,
                local_address: stream.local_addr().ok(),
                ..UpstreamConnection::default()
            },
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => {
                let (tcp, tls) = stream.get_ref();
                UpstreamConnection {
                    id,
                    local_address: tcp.local_addr().ok(),
                    tls_version: tls.protocol_version().and_then(tls_names::version),
                    tls_cipher: tls
                        .negotiated_cipher_suite()
                        .map(|suite| tls_names::cipher(suite.suite()).into()),
                }
            }
        }
    }

    /// Whether ALPN chose HTTP/2.
    pub(crate) fn negotiated_http2(&self) -> bool {
        match &self.stream {
            Stream::Plain(_) => false,
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl AsyncRead for UpstreamIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let Self { stream, readable, .. } = &mut *self;
        let polled = match stream {
            Stream::Plain(stream) => match readable {
                None => Pin::new(stream).poll_read(cx, buf),
                Some((readable, waker)) => {
                    readable.read(waker, |cx| Pin::new(stream).poll_read(cx, buf))
                }
            },
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        let read = buf.filled().len() - before;
        self.buffered.read(&polled, read);
        if read > 0 {
            self.stats.cx_rx_bytes_total.increment(read as u64);
            self.expects.look(buf.filled().get(before..).unwrap_or_default(), &self.stats);
        }
        polled
    }
}

impl AsyncWrite for UpstreamIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.trailers.is_some() {
            return self.poll_write_vectored(cx, &[io::IoSlice::new(buf)]);
        }
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        self.stalled.set(polled.is_pending());
        self.buffered.wrote(&polled, buf.len());
        count_written(&self.stats, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, stats, trailers, buffered, stalled, .. } = &mut *self;
        let mut write = |cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]| {
            let polled = match stream {
                Stream::Plain(stream) => gathered(bufs, |bufs| match bufs {
                    Gathered::One(buf) => Pin::new(stream).poll_write(cx, buf),
                    Gathered::Several(bufs) => Pin::new(stream).poll_write_vectored(cx, bufs),
                }),
                #[cfg(feature = "tls")]
                Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            };
            stalled.set(polled.is_pending());
            buffered.wrote(&polled, total(bufs));
            count_written(stats, polled)
        };
        match trailers {
            Some(trailers) => trailers.poll_write(cx, bufs, write),
            None => write(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

fn count_written(stats: &ClusterStats, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
    if let Poll::Ready(Ok(written)) = &polled {
        stats.cx_tx_bytes_total.increment(*written as u64);
    }
    polled
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::cluster::Cluster;

    #[test]
    fn an_interim_response_has_no_body() {
        let cluster = Cluster::builder("c").build();
        for (lines, is_good) in [
            ("", true),
            ("link: a\r\n", true),
            ("Content-Length: 0\r\n", true),
            ("content-length: 5\r\n", false),
            ("link: a\r\nTransfer-Encoding: chunked\r\n", false),
        ] {
            let expects = ExpectsHead::default();
            expects.begin(false);
            let first = "HTTP/1.1 103 Early Hints\r\n\r\n";
            let read = format!("{first}HTTP/1.1 100 Continue\r\n{lines}\r\nHTTP/1.1 200 OK\r\n");
            expects.look(read.as_bytes(), cluster.stats());
            assert_eq!(expects.end(), is_good, "{lines:?}");
            assert!(expects.end(), "the next response is not concerned");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever an upstream begins its answer with is looked at without harm.
        #[test]
        fn interim_responses_are_looked_for_in_any_bytes(
            parts in vec(prop_oneof![
                select(vec![
                    &b"HTTP/1.1 100 Continue\r\n\r\n"[..], b"HTTP/1.1 103 \r\na: b\r\n\r\n",
                    b"HTTP/1.1 1", b"HTTP/1.1 1\xff\xff", b"\r\n\r\n", b"HTTP/1.1 101 x\r\n\r\n",
                ]).prop_map(<[u8]>::to_vec),
                vec(any::<u8>(), 0..20),
            ], 0..8),
        ) {
            let cluster = Cluster::builder("c").build();
            let expects = ExpectsHead::default();
            expects.begin(false);
            expects.look(&parts.concat(), cluster.stats());
        }
    }
}
