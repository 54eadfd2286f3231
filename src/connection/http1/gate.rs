//! The transport wrapper: what hyper reads and writes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::GateConfig;
use super::detect::{Protocol, protocol};
use super::framing::{Chunked, Framing, Progress};
use super::head::{EndFinder, Found, Head, read};
use super::refusal::{Refusal, RefusalKind};
use super::scan::scan;
use super::state::{GateState, Phase};

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
    returned: Arc<Mutex<Option<Returned<IO>>>>,
    at: At,
    /// Read from the client, not looked at yet or not complete.
    held: BytesMut,
    end: EndFinder,
    /// Accepted and rewritten, for hyper.
    ready: BytesMut,
    /// What the gate itself has to write to the client.
    owed: BytesMut,
    /// No answer is due or being written, so the next head may be looked at.
    quiet: bool,
    /// Whether hyper has written part of the answer to the last request.
    answering: bool,
    tunnel: Tunnel,
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

/// Which answer to the last request opens a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tunnel {
    Never,
    On101,
    On2xx,
}

/// What is left when hyper is done with a connection.
#[derive(Debug)]
pub struct Returned<IO> {
    /// The transport.
    pub io: IO,
    /// What was read and not used. With [`Protocol::Http2`]: the preface.
    pub read: BytesMut,
    /// What the client speaks; HTTP/2 only if [`GateConfig::detect_http2`] is set.
    pub protocol: Protocol,
}

/// The owner's end of an [`Http1Gate`].
#[derive(Debug)]
pub struct GateHandle<IO> {
    state: Arc<GateState>,
    returned: Arc<Mutex<Option<Returned<IO>>>>,
}

impl<IO> GateHandle<IO> {
    /// What the gate shows.
    pub fn state(&self) -> &Arc<GateState> {
        &self.state
    }

    /// The transport, once the gate was dropped (with hyper's connection). `None` while something,
    /// such as a tunnel, still uses it.
    pub fn reclaim(self) -> Option<Returned<IO>> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<IO> Http1Gate<IO> {
    /// A gate before a fresh connection.
    pub fn new(io: IO, config: Arc<GateConfig>) -> (Self, GateHandle<IO>) {
        Self::resume(io, BytesMut::new(), config)
    }

    /// A gate before a connection from which `read` was already read.
    pub fn resume(io: IO, read: BytesMut, config: Arc<GateConfig>) -> (Self, GateHandle<IO>) {
        let state = Arc::new(GateState::new());
        let returned = Arc::new(Mutex::new(None));
        let handle = GateHandle { state: Arc::clone(&state), returned: Arc::clone(&returned) };
        state.read(read.len());
        if !read.is_empty() {
            state.head_begins();
        }
        let gate = Self {
            io: Some(io),
            config,
            state,
            returned,
            at: At::Head,
            held: read,
            end: EndFinder::default(),
            ready: BytesMut::new(),
            owed: BytesMut::new(),
            quiet: true,
            answering: false,
            tunnel: Tunnel::Never,
            began: false,
            http2: false,
        };
        (gate, handle)
    }

    /// Lets pass what may go to hyper as it stands; the rest of what was just read is held.
    fn pass(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let input = buf.filled().get(before..).unwrap_or_default();
        let mut passed = 0;
        loop {
            let rest = input.get(passed..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let head_may_pass = self.quiet && self.is_http1(rest);
            let (len, more) = match &mut self.at {
                At::Head if head_may_pass => {
                    let Some(head) = scan(rest, &self.config) else {
                        break;
                    };
                    let upgrade = if head.upgrade { Tunnel::On101 } else { Tunnel::Never };
                    self.release(head.framing, upgrade);
                    (head.len, true)
                }
                At::Length(left) => {
                    let len =
                        usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left = left.saturating_sub(len as u64);
                    if *left == 0 {
                        self.end_body();
                    }
                    (len, true)
                }
                At::Chunked(chunked) => {
                    let (len, progress) = chunked.pass(rest);
                    (len, self.after(progress))
                }
                _ => break,
            };
            passed += len;
            if !more {
                break;
            }
        }
        if let Some(rest) = input.get(passed..)
            && !rest.is_empty()
            && !matches!(self.at, At::Stopped { .. })
        {
            self.held.extend_from_slice(rest);
        }
        buf.set_filled(before + passed);
    }

    /// Works on held bytes; what is accepted goes to `ready`. Says whether it came on.
    fn work(&mut self) -> bool {
        let mut out = Vec::new();
        let used = match &mut self.at {
            At::Head => return self.quiet && self.work_on_head(),
            At::Length(left) => {
                let held = self.held.len();
                let len = usize::try_from(*left).map_or(held, |left| left.min(held));
                *left = left.saturating_sub(len as u64);
                if *left == 0 {
                    self.end_body();
                }
                self.ready.extend_from_slice(self.held.get(..len).unwrap_or_default());
                len
            }
            At::Chunked(chunked) => {
                let (len, progress) = chunked.rewrite(&self.held, &mut out, &self.config);
                self.after(progress);
                len
            }
            _ => return false,
        };
        self.ready.extend_from_slice(&out);
        advance(&mut self.held, used);
        true
    }

    /// Reads a head out of what is held.
    fn work_on_head(&mut self) -> bool {
        let blank = self.held.iter().take_while(|&&b| matches!(b, b'\r' | b'\n')).count();
        advance(&mut self.held, blank);
        if self.held.is_empty() {
            return false;
        }
        if !self.is_http1(&self.held) {
            // Either it cannot be told yet, or it is HTTP/2 and hyper's HTTP/1 codec is done here.
            if protocol(&self.held) == Some(Protocol::Http2) {
                self.http2 = true;
                self.at = At::End;
                return true;
            }
            return false;
        }
        self.began = true;
        if self.held.first().is_some_and(|&byte| byte <= b' ') {
            self.refuse(Refusal::new(RefusalKind::BadRequest));
            return true;
        }
        let limit = self.config.max_head_bytes;
        match self.end.find(self.held.get(..limit).unwrap_or(&self.held)) {
            Found::Partial if self.held.len() >= limit => {
                self.refuse(Refusal::new(RefusalKind::HeadTooLarge));
            }
            Found::Partial => return false,
            Found::Refused(kind) => self.refuse(Refusal::new(kind)),
            Found::Complete(len) => {
                self.end = EndFinder::default();
                let head = self.held.get(..len).unwrap_or_default();
                if let Some(plain) = scan(head, &self.config) {
                    self.ready.extend_from_slice(head);
                    let tunnel = if plain.upgrade { Tunnel::On101 } else { Tunnel::Never };
                    self.release(plain.framing, tunnel);
                } else {
                    match read(head, &self.config) {
                        Ok(head) => self.accept(head),
                        Err(refusal) => self.refuse(refusal),
                    }
                }
                advance(&mut self.held, len);
            }
        }
        true
    }

    fn accept(&mut self, head: Head) {
        self.state.drop_underscores(head.dropped_underscores);
        if head.expect_continue {
            // Envoy answers also where no body follows, or where it will refuse the request.
            self.owed.extend_from_slice(CONTINUE);
            self.at = At::Continue(Box::new(head));
        } else {
            self.hand_over(&head);
        }
    }

    fn hand_over(&mut self, head: &Head) {
        self.ready.extend_from_slice(&head.bytes);
        let tunnel = match (head.connect, head.upgrade) {
            (true, _) => Tunnel::On2xx,
            (false, true) => Tunnel::On101,
            (false, false) => Tunnel::Never,
        };
        self.release(head.framing, tunnel);
    }

    /// A request goes to hyper.
    fn release(&mut self, framing: Framing, tunnel: Tunnel) {
        self.began = true;
        self.quiet = false;
        self.answering = false;
        self.tunnel = tunnel;
        let phase = match framing {
            Framing::Empty | Framing::Length(0) => Phase::Answer,
            _ => Phase::Body,
        };
        self.state.release(phase);
        self.at = match framing {
            Framing::Empty | Framing::Length(0) => At::Head,
            Framing::Length(length) => At::Length(length),
            Framing::Chunked => At::Chunked(Chunked::default()),
        };
    }

    fn end_body(&mut self) {
        self.at = At::Head;
        self.state.set_phase(Phase::Answer);
    }

    /// What a step through a chunked body leads to; says whether to go on.
    fn after(&mut self, progress: Progress) -> bool {
        match progress {
            Progress::More => true,
            Progress::Done => {
                self.end_body();
                true
            }
            Progress::NotPlain => false,
            Progress::Refused(kind) => {
                self.stop(kind);
                false
            }
        }
    }

    /// Refuses a head.
    fn refuse(&mut self, refusal: Refusal) {
        let refusal = Refusal { answered: true, ..refusal };
        self.owed.extend_from_slice(&refusal.answer(self.config.server_header.as_ref()));
        self.state.set_refusal(refusal);
        self.held = BytesMut::new();
        self.at = At::Refused;
    }

    /// Refuses the body of a request the service already has.
    fn stop(&mut self, kind: RefusalKind) {
        let answered = !self.answering && !self.state.all_answered();
        let refusal = Refusal { head_seen: true, answered, ..Refusal::new(kind) };
        if answered {
            self.owed.extend_from_slice(&refusal.answer(self.config.server_header.as_ref()));
        }
        self.state.set_refusal(refusal);
        self.held = BytesMut::new();
        self.ready = BytesMut::new();
        self.at = At::Stopped { woken: false };
    }

    /// Whether the first bytes of the connection are not the beginning of an HTTP/2 preface.
    fn is_http1(&self, start: &[u8]) -> bool {
        self.began
            || !self.config.detect_http2
            || start.first() != Some(&b'P')
            || protocol(start) == Some(Protocol::Http1)
    }

    fn answer_begins(&mut self, bytes: &[u8], written: usize) {
        if written == 0 {
            return;
        }
        self.state.wrote(written);
        // With `proxy_100_continue` it is hyper that writes this, and it is no answer.
        if self.answering || self.at_tunnel() || bytes == CONTINUE {
            return;
        }
        self.answering = true;
        let status = bytes.get(9..12).unwrap_or_default();
        let opens = match self.tunnel {
            Tunnel::Never => false,
            Tunnel::On101 => status == b"101",
            Tunnel::On2xx => status.starts_with(b"2"),
        };
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
            self.state.wrote(count);
            advance(&mut self.owed, count);
        }
        Pin::new(io(&mut self.io)?).poll_flush(cx)
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
            if !this.ready.is_empty() {
                let len = this.ready.len().min(buf.remaining());
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
            let count = ready!(this.poll_client(cx, buf))?;
            if count == 0 {
                if matches!(this.at, At::Head) {
                    return Poll::Ready(Ok(()));
                }
                // hyper would leave it to the service what becomes of a request whose client has
                // left; Envoy drops it, as it (and hyper) does when the request was complete.
                this.at = At::Stopped { woken: false };
                continue;
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
        let count = ready!(Pin::new(io(&mut self.io)?).poll_write(cx, buf))?;
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
        let count = ready!(Pin::new(io(&mut self.io)?).poll_write_vectored(cx, bufs))?;
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
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
        if self.at_tunnel() {
            return;
        }
        // A body or a request that nobody read. What follows a `CONNECT` has no end.
        let read_up = matches!(self.at, At::Head | At::End) && self.held.is_empty();
        if !read_up || self.tunnel == Tunnel::On2xx {
            self.state.set_delay_close();
        }
        self.state.set_phase(Phase::Closed);
        let Some(io) = self.io.take() else { return };
        let protocol = if self.http2 { Protocol::Http2 } else { Protocol::Http1 };
        let returned = Returned { io, read: std::mem::take(&mut self.held), protocol };
        *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = Some(returned);
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
