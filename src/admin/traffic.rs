//! `http.admin.*` and `listener.admin.*`: the admin listener's own connections and requests.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use axum_server::accept::Accept;
use front_proxy_layers::stats::{DownstreamStats, ListenerCodes, Scope, StatsLayer};
use http::{HeaderName, Request};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::connection::{Counted, OpenConnection};
use crate::listener::ListenerStats;
use crate::stats::absent;

/// What is counted: as on any other listener.
#[derive(Debug)]
pub(super) struct Traffic {
    http: Arc<DownstreamStats>,
    codes: Arc<ListenerCodes>,
    listener: ListenerStats,
}

impl Traffic {
    pub(super) fn new(root: &Scope) -> Arc<Self> {
        let http = Arc::new(DownstreamStats::new(root, "admin"));
        let listener = root.child("listener").child("admin");
        absent::admin(http.scope(), &listener);
        Arc::new(Self {
            codes: Arc::new(ListenerCodes::new(&listener, "admin")),
            listener: ListenerStats::of_main_thread(&listener),
            http,
        })
    }

    /// Counts requests.
    pub(super) fn layer(&self) -> StatsLayer {
        StatsLayer::new(Arc::clone(&self.http)).listener(Arc::clone(&self.codes))
    }
}

/// How many answers to HEAD requests are on their way out of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct HeadAnswers(Arc<AtomicUsize>);

impl HeadAnswers {
    /// One that carries [`CODING_OF_GET`].
    pub(super) fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Wraps what another acceptor makes.
#[derive(Clone, Debug)]
pub(super) struct CountingAcceptor<A> {
    pub(super) inner: A,
    pub(super) traffic: Arc<Traffic>,
}

impl<A, S> Accept<TcpStream, S> for CountingAcceptor<A>
where
    A: Accept<TcpStream, S>,
    A::Future: Send + 'static,
{
    type Stream = AdminStream<A::Stream>;
    type Service = OfConnection<A::Service>;
    type Future =
        Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send + 'static>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let accepted = self.inner.accept(stream, service);
        let traffic = Arc::clone(&self.traffic);
        Box::pin(async move {
            let (io, inner) = accepted.await?;
            let heads = HeadAnswers::default();
            let stream = AdminStream {
                io: Counted::new(io, Arc::clone(&traffic.http), false),
                open: OpenConnection::new(&traffic.http, false),
                heads: heads.clone(),
                ended: false,
                _accepted: Accepted::new(traffic),
            };
            Ok((stream, OfConnection { inner, heads }))
        })
    }
}

/// Tells requests which connection they came by.
#[derive(Clone, Debug)]
pub(super) struct OfConnection<S> {
    inner: S,
    heads: HeadAnswers,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for OfConnection<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.heads.clone());
        self.inner.call(request)
    }
}

/// A connection of the admin listener.
#[derive(Debug)]
pub(super) struct AdminStream<S> {
    io: Counted<S>,
    open: OpenConnection,
    heads: HeadAnswers,
    /// The client has ended its side.
    ended: bool,
    _accepted: Accepted,
}

impl<S: AsyncRead + Unpin> AsyncRead for AdminStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.open.speaks_http1();
        } else if polled.is_ready() && room > 0 {
            self.ended = true;
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AdminStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(rest) = buf.strip_prefix(OLD_REFUSAL) {
            // The HTTP library answers an HTTP/1.0 request in 1.0; the refusal is there to say
            // that 1.1 is spoken here.
            return Pin::new(&mut self.io).poll_write(cx, &[REFUSAL, rest].concat());
        }
        if self.heads.0.load(Ordering::Relaxed) > 0
            && let Some(renamed) = with_coding_of_get(buf)
        {
            let polled = Pin::new(&mut self.io).poll_write(cx, &renamed);
            // What was not taken comes again.
            if matches!(polled, Poll::Ready(Ok(written)) if written == buf.len()) {
                self.heads.0.fetch_sub(1, Ordering::Relaxed);
            }
            return polled;
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let by_client = self.ended;
        self.open.closed_by_client(by_client);
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A connection as the listener counts it.
#[derive(Debug)]
struct Accepted {
    traffic: Arc<Traffic>,
    began: Instant,
}

impl Accepted {
    fn new(traffic: Arc<Traffic>) -> Self {
        let listener = &traffic.listener;
        listener.accepted();
        // They are taken one at a time.
        listener.accepted_per_event.record(1.0);
        for (total, active) in &listener.workers {
            total.increment(1);
            active.increment(1.0);
        }
        Self { traffic, began: Instant::now() }
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        let listener = &self.traffic.listener;
        listener.cx_active.decrement(1.0);
        for (_, active) in &listener.workers {
            active.decrement(1.0);
        }
        listener.cx_destroy.increment(1);
        listener.cx_length_ms.record_time(self.began.elapsed());
    }
}

const OLD_REFUSAL: &[u8] = b"HTTP/1.0 426 ";
const REFUSAL: &[u8] = b"HTTP/1.1 426 ";

/// Stands for `transfer-encoding` in the answer to a HEAD request, from which the HTTP library takes
/// that out: no body follows. Envoy sends it as for GET. Both names are equally long.
pub(super) const CODING_OF_GET: HeaderName = HeaderName::from_static("x-transfer-coding");

/// What is written with the name that was meant, if a head in it has the placeholder: the last
/// one, since an answer to HEAD has no body that could come behind it.
fn with_coding_of_get(written: &[u8]) -> Option<Vec<u8>> {
    const LINE: &[u8] = b"\r\nx-transfer-coding: chunked\r\n";
    let at = written.windows(LINE.len()).rposition(|part| part == LINE)?;
    let mut renamed = written.to_vec();
    renamed[at..at + LINE.len()].copy_from_slice(b"\r\ntransfer-encoding: chunked\r\n");
    Some(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_head_that_was_meant_is_renamed() {
        let page = "HTTP/1.1 200 OK\r\n\r\nIts text:\r\nx-transfer-coding: chunked\r\n";
        let head = "HTTP/1.1 200 OK\r\nx-transfer-coding: chunked\r\ndate: d\r\n\r\n";
        let written = [page, head].concat();
        let renamed = with_coding_of_get(written.as_bytes()).expect("a head");
        let expected = [page, &head.replace("x-transfer-coding", "transfer-encoding")].concat();
        assert_eq!(String::from_utf8_lossy(&renamed), expected);
        assert_eq!(with_coding_of_get(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    }
}
