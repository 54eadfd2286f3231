//! The transport wrapper: what hyper reads and writes.

mod handle;
mod steps;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use front_proxy_layers::trailers::{TrailerSlot, TrailerWriter};
use front_proxy_layers::upgrade::is_granted;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::GateConfig;
use super::detect::Protocol;
use super::framing::Chunked;
use super::head::{EndFinder, Head};
use super::refusal::{Refusal, RefusalKind};
use super::state::{GateState, Phase};

pub use self::handle::{GateHandle, Returned};

/// Whether this is the whole head of an answer in HTTP/1.1, and nothing after it.
fn is_lone_head(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.1 ")
        && bytes.windows(4).position(|end| end == b"\r\n\r\n") == bytes.len().checked_sub(4)
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Stands between a client's byte stream and hyper's HTTP/1 server codec.
///
/// Give it to hyper in a [`TokioIo`](hyper_util::rt::TokioIo). See the [module](super) for what it
/// does.
#[derive(Debug)]
pub struct Http1Gate<IO> {
    /// Gone only in `drop`.
    io: Option<IO>,
    config: Arc<GateConfig>,
    state: Arc<GateState>,
    /// Gone only in `drop`.
    returned: Option<oneshot::Sender<Returned<IO>>>,
    at: At,
    /// Read from the client, not looked at yet or not complete.
    held: BytesMut,
    end: EndFinder,
    /// Accepted and rewritten, for hyper.
    ready: BytesMut,
    /// What the gate itself has to write to the client.
    owed: BytesMut,
    /// How much of what hyper writes `owed` stands for.
    claimed: usize,
    /// No answer is due or being written, so the next head may be looked at.
    quiet: bool,
    /// Whether hyper has written part of the answer to the last request.
    answering: bool,
    tunnel: Tunnel,
    /// Whether the last request is `HEAD`.
    to_head: bool,
    /// Puts trailers into answers, where they are enabled.
    trailers: Option<TrailerWriter>,
    /// The head that was let pass last is still here: hyper has not seen it.
    refusable: bool,
    /// Whether a byte of the connection has been seen.
    began: bool,
    http2: bool,
}

/// Where in the client's stream the gate is.
#[derive(Debug)]
enum At {
    Head,
    /// A head has been accepted and waits for its `100 Continue` to be written.
    Continue(Box<Head>),
    Length(u64),
    Chunked(Chunked),
    Tunnel,
    /// A refusal between requests: hyper sees an end once the answer is out.
    Refused,
    /// A refusal inside a body: hyper is stopped once the answer is out.
    Stopped {
        woken: bool,
    },
    End,
}

/// How the last request asked for a tunnel, if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tunnel {
    Never,
    ByUpgrade,
    ByConnect,
}

impl<IO> Http1Gate<IO> {
    /// A gate before a fresh connection.
    pub fn new(io: IO, config: Arc<GateConfig>) -> (Self, GateHandle<IO>) {
        Self::resume(io, BytesMut::new(), config)
    }

    /// A gate before a connection from which `read` was already read.
    pub fn resume(io: IO, read: BytesMut, config: Arc<GateConfig>) -> (Self, GateHandle<IO>) {
        let trailers =
            config.enable_trailers.then(|| TrailerWriter::new(Arc::new(TrailerSlot::default())));
        let slot = trailers.as_ref().map(|writer| Arc::clone(writer.slot()));
        let state = Arc::new(GateState::new(slot));
        let (returned, back) = oneshot::channel();
        let handle = GateHandle { state: Arc::clone(&state), returned: back };
        state.read(read.len());
        if !read.is_empty() {
            state.head_begins();
        }
        let gate = Self {
            io: Some(io),
            config,
            state,
            returned: Some(returned),
            at: At::Head,
            held: read,
            end: EndFinder::default(),
            ready: BytesMut::new(),
            owed: BytesMut::new(),
            claimed: 0,
            quiet: true,
            answering: false,
            tunnel: Tunnel::Never,
            to_head: false,
            trailers,
            refusable: false,
            began: false,
            http2: false,
        };
        (gate, handle)
    }

    fn answer_begins(&mut self, bytes: &[u8], written: usize) {
        if written == 0 {
            return;
        }
        // With `proxy_100_continue` it is hyper that writes this, and it is no answer.
        if self.answering || self.at_tunnel() {
            return;
        }
        if bytes == CONTINUE {
            self.state.continued();
            return;
        }
        self.answering = true;
        let status = StatusCode::from_bytes(bytes.get(9..12).unwrap_or_default()).ok();
        let opens = self.tunnel != Tunnel::Never
            && status.is_some_and(|status| is_granted(self.tunnel == Tunnel::ByConnect, status));
        if status == Some(StatusCode::SWITCHING_PROTOCOLS) && !opens {
            self.state.set_unasked_switch();
        }
        if opens {
            self.at = At::Tunnel;
            self.state.set_phase(Phase::Tunnel);
        }
    }

    fn at_tunnel(&self) -> bool {
        matches!(self.at, At::Tunnel)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Http1Gate<IO> {
    /// Reads behind what `buf` has; `Ready(0)` is the client's end.
    fn poll_client(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let before = buf.filled().len();
        if let Err(error) = ready!(Pin::new(io(&mut self.io)?).poll_read(cx, buf)) {
            // A reset, or a TLS client that left without saying so: it is gone either way.
            self.state.set_client_closed();
            return Poll::Ready(Err(error));
        }
        let count = buf.filled().len().saturating_sub(before);
        if count == 0 && buf.remaining() > 0 {
            self.state.set_client_closed();
        }
        self.state.read(count);
        Poll::Ready(Ok(count))
    }

    /// Writes what the gate owes the client.
    fn poll_owed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.owed.is_empty() {
            let io = io(&mut self.io)?;
            let count = ready!(Pin::new(io).poll_write(cx, &self.owed))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            advance(&mut self.owed, count);
        }
        Pin::new(io(&mut self.io)?).poll_flush(cx)
    }

    /// Writes the head of an answer to `HEAD` with `transfer-encoding: chunked`. None if that is not
    /// what hyper writes here.
    fn poll_chunked_head(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        if self.claimed == 0 {
            if self.answering || !self.state.take_chunked_head() || !is_lone_head(bytes) {
                return None;
            }
            self.owed.extend_from_slice(bytes.strip_suffix(b"\r\n")?);
            self.owed.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
            self.claimed = bytes.len();
        }
        let polled = self.poll_owed(cx);
        self.state.set_stalled(polled.is_pending());
        Some(polled.map_ok(|()| {
            let count = std::mem::take(&mut self.claimed);
            self.answer_begins(bytes, count);
            count
        }))
    }

    /// Stops hyper where the service must not get to answer any more: an error from the writing
    /// side ends the connection at once, and drops the service.
    fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match ready!(self.poll_owed(cx)) {
            Ok(()) => Poll::Ready(io::Error::new(io::ErrorKind::InvalidData, "request refused")),
            Err(error) => Poll::Ready(error),
        }
    }

    /// Holds what comes before its turn, and notices the client's end.
    fn poll_early(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.held.len() < self.config.max_head_bytes {
            let before = buf.filled().len();
            let Poll::Ready(count) = self.poll_client(cx, buf)? else {
                break;
            };
            if count == 0 {
                return Poll::Ready(Ok(()));
            }
            self.held.extend_from_slice(buf.filled().get(before..).unwrap_or_default());
            buf.set_filled(before);
        }
        if !self.held.is_empty() {
            self.state.wake_when_answered(cx.waker());
        }
        Poll::Pending
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Http1Gate<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            while this.refusable && !this.held.is_empty() && matches!(this.at, At::Chunked(_)) {
                if !this.work() {
                    break;
                }
            }
            if !this.ready.is_empty() {
                let len = this.ready.len().min(buf.remaining());
                this.refusable = false;
                buf.put_slice(this.ready.get(..len).unwrap_or_default());
                advance(&mut this.ready, len);
                return Poll::Ready(Ok(()));
            }
            match &mut this.at {
                At::Head if !this.quiet => return this.poll_early(cx, buf),
                At::Head | At::Length(_) | At::Chunked(_) => {}
                At::Continue(_) => {
                    ready!(this.poll_owed(cx))?;
                    this.state.continued();
                    if let At::Continue(head) = std::mem::replace(&mut this.at, At::Head) {
                        this.hand_over(&head);
                    }
                    continue;
                }
                At::Tunnel => {
                    if this.held.is_empty() {
                        return this.poll_client(cx, buf).map_ok(|_| ());
                    }
                    this.ready = std::mem::take(&mut this.held);
                    continue;
                }
                At::Refused => {
                    ready!(this.poll_owed(cx))?;
                    this.at = At::End;
                }
                At::Stopped { woken } => {
                    // hyper stops at its next write or flush; this makes sure there is one.
                    if !std::mem::replace(woken, true) {
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                }
                At::End => return Poll::Ready(Ok(())),
            }
            if !this.held.is_empty() && this.work() {
                continue;
            }
            if matches!(this.at, At::End) {
                continue;
            }
            if this.state.head_timed_out() && matches!(this.at, At::Head) {
                this.refuse(Refusal::new(RefusalKind::HeaderTimeout));
                continue;
            }
            let before = buf.filled().len();
            match ready!(this.poll_client(cx, buf)) {
                Ok(1..) => {}
                gone if matches!(this.at, At::Head) => return Poll::Ready(gone.map(|_| ())),
                // hyper would leave it to the service what becomes of a request whose client has
                // left; Envoy drops it, as it (and hyper) does when the request was complete.
                Ok(_) | Err(_) => {
                    this.at = At::Stopped { woken: false };
                    continue;
                }
            }
            if this.held.is_empty() {
                this.pass(buf, before);
            } else {
                this.held.extend_from_slice(buf.filled().get(before..).unwrap_or_default());
                buf.set_filled(before);
            }
            if matches!(this.at, At::Head) && this.quiet {
                this.state.head_begins();
            }
            if buf.filled().len() > before {
                this.refusable = false;
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Http1Gate<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if matches!(self.at, At::Stopped { .. }) {
            return self.poll_stopped(cx).map(Err);
        }
        if let Some(polled) = self.poll_chunked_head(cx, buf) {
            return polled;
        }
        if self.trailers.is_some() {
            return self.poll_write_vectored(cx, &[io::IoSlice::new(buf)]);
        }
        let polled = Pin::new(io(&mut self.io)?).poll_write(cx, buf);
        self.state.set_stalled(polled.is_pending());
        let count = ready!(polled)?;
        self.answer_begins(buf, count);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if matches!(self.at, At::Stopped { .. }) {
            return self.poll_stopped(cx).map(Err);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        if let Some(polled) = self.poll_chunked_head(cx, first) {
            return polled;
        }
        let Self { io: transport, trailers, .. } = &mut *self;
        let transport = io(transport)?;
        let polled = match trailers {
            Some(trailers) => trailers.poll_write(cx, bufs, |cx, bufs| {
                Pin::new(&mut *transport).poll_write_vectored(cx, bufs)
            }),
            None => Pin::new(transport).poll_write_vectored(cx, bufs),
        };
        self.state.set_stalled(polled.is_pending());
        let count = ready!(polled)?;
        self.answer_begins(first, count);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.at, At::Stopped { .. }) {
            return self.poll_stopped(cx).map(Err);
        }
        ready!(Pin::new(io(&mut self.io)?).poll_flush(cx))?;
        // hyper flushes the transport only when its own buffer is empty. So if the service is
        // through with its answer, all of it is out.
        if !self.quiet && !self.at_tunnel() && self.state.all_answered() {
            self.quiet = true;
            if matches!(self.at, At::Head) {
                self.state.set_phase(Phase::Idle);
                if !self.held.is_empty() {
                    self.state.head_begins();
                    // hyper was told to wait for the client, but what it waits for is here.
                    cx.waker().wake_by_ref();
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Only flushes: whoever owns the connection closes it, for it may have to wait for the client
    /// ([`GateState::delay_close`]). A tunnel is closed as asked.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tunnel = self.at_tunnel();
        let io = Pin::new(io(&mut self.io)?);
        if tunnel { io.poll_shutdown(cx) } else { io.poll_flush(cx) }
    }
}

impl<IO> Drop for Http1Gate<IO> {
    fn drop(&mut self) {
        // A body that nobody read. What follows a request to switch protocols has no end, whether
        // it was granted or not.
        let read_up = matches!(self.at, At::Head | At::End);
        if !read_up || self.tunnel != Tunnel::Never {
            self.state.set_delay_close();
        } else if !self.held.is_empty() {
            // The client had begun another request, and there may be more of it.
            self.state.set_linger();
        }
        self.state.set_phase(Phase::Closed);
        let Some(io) = self.io.take() else { return };
        let protocol = if self.http2 { Protocol::Http2 } else { Protocol::Http1 };
        let returned = Returned { io, read: std::mem::take(&mut self.held), protocol };
        if let Some(back) = self.returned.take() {
            // Nobody may be interested: then it is closed with this.
            let _ = back.send(returned);
        }
    }
}

/// The transport; it is there until the gate is dropped.
fn io<IO>(io: &mut Option<IO>) -> io::Result<&mut IO> {
    io.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
}

/// Takes `count` bytes off the front; an empty buffer gives its memory back.
fn advance(buffer: &mut BytesMut, count: usize) {
    buffer.advance(count.min(buffer.len()));
    if buffer.is_empty() {
        *buffer = BytesMut::new();
    }
}
