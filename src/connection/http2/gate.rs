//! The transport wrapper between a client's bytes and `h2`'s server codec.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use front_proxy_layers::http2::{Event, Frame, FrameReader, Outbound, flag, kind};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::hpack;
use super::limits::Limits;
use super::state::{Ending, GateState};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Header blocks are kept up to here, to tell why one was refused.
const BLOCK: usize = 64 * 1024;

/// Stands between a client's byte stream and `h2`; see the [module](super).
#[derive(Debug)]
pub(super) struct Http2Gate<IO> {
    io: IO,
    state: Arc<GateState>,
    limits: Limits,
    incoming: FrameReader,
    outgoing: FrameReader,
    outbound: Outbound,
    /// Read from the client and not handed on yet.
    held: BytesMut,
    /// To be written before anything else.
    owed: BytesMut,
    /// The last header block, unless it was padded.
    block: Vec<u8>,
    padded: bool,
    in_block: bool,
    last: Frame,
    settings_agreed: bool,
    /// The last stream whose reset was looked at: a frame may be seen more than once before it
    /// is written.
    judged: u32,
    ended: bool,
}

impl<IO> Http2Gate<IO> {
    pub(super) fn new(io: IO, state: Arc<GateState>) -> Self {
        Self {
            io,
            outbound: Outbound::new(&state.codec),
            state,
            limits: Limits::default(),
            incoming: FrameReader::of_client(),
            outgoing: FrameReader::new(),
            held: BytesMut::new(),
            owed: BytesMut::new(),
            block: Vec::new(),
            padded: false,
            in_block: false,
            last: Frame::default(),
            settings_agreed: false,
            judged: 0,
            ended: false,
        }
    }

    /// The transport, and what is still to be written to it.
    pub(super) fn into_parts(self) -> (IO, BytesMut) {
        (self.io, self.owed)
    }

    /// Follows what the client sent. Returns how much of it `h2` may see now.
    fn receive(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while let Some(event) = self.incoming.next(&mut rest) {
            match event {
                Event::Begin(frame) => {
                    self.begin(&frame);
                    if self.ended {
                        break;
                    }
                }
                Event::Payload(part) => {
                    if self.in_block && self.block.len() + part.len() <= BLOCK {
                        self.block.extend_from_slice(part);
                    }
                }
                Event::End(frame) => {
                    let block = matches!(frame.kind, kind::HEADERS | kind::CONTINUATION);
                    if block && self.in_block && frame.has(flag::END_HEADERS) {
                        self.in_block = false;
                        // What `h2` makes of a head has to come out before more goes in, or a
                        // refusal of the head can't be told from one of its body.
                        self.state.park();
                        break;
                    }
                }
            }
        }
        bytes.len() - rest.len()
    }

    fn begin(&mut self, frame: &Frame) {
        let state = &self.state;
        // The frame is counted as if it had come, as Envoy does, also where it is the last.
        match frame.kind {
            kind::HEADERS if !self.in_block => {
                self.block.clear();
                self.padded = frame.has(flag::PADDED);
                self.in_block = true;
                if frame.stream % 2 == 1 {
                    if state.opens(frame.stream) {
                        self.limits.opened += 1;
                    } else if frame.stream <= state.delivered() && state.is_serving() {
                        state.codec.trailers.increment(1);
                    }
                }
            }
            kind::RST_STREAM => state.codec.rx_reset.increment(1),
            kind::SETTINGS if frame.has(flag::ACK) => self.settings_agreed = true,
            _ => {}
        }
        self.last = *frame;
        if let Some(counter) = self.limits.received(frame, &state.codec) {
            counter.increment(1);
            self.end(Ending::Flood);
        }
    }

    fn end(&mut self, ending: Ending) {
        self.ended = true;
        self.state.end(ending);
    }

    /// Looks at what `h2` wants to send. Returns how much of it may go.
    fn send(&mut self, bufs: &[IoSlice<'_>]) -> usize {
        let mut reader = self.outgoing.clone();
        let mut before = 0;
        for bytes in bufs {
            let mut rest = &bytes[..];
            loop {
                let at = before + bytes.len() - rest.len();
                match reader.next(&mut rest) {
                    None => break,
                    Some(Event::Begin(frame)) => {
                        if !self.may_send(&frame) {
                            return at;
                        }
                    }
                    Some(_) => {}
                }
            }
            before += bytes.len();
        }
        before
    }

    /// Whether a frame of `h2` goes to the client. If not, the connection has ended.
    fn may_send(&mut self, frame: &Frame) -> bool {
        let state = &self.state;
        let refused = frame.stream > state.delivered();
        let codec = &state.codec;
        match frame.kind {
            kind::RST_STREAM if refused && frame.value == REFUSED_STREAM => {
                // More streams than were announced. Only who knows the limit is to blame.
                state.forget(frame.stream);
                if self.settings_agreed {
                    self.end(Ending::Protocol(None));
                    return false;
                }
                codec.stream_refused_errors.increment(1);
            }
            kind::RST_STREAM if frame.stream == self.judged => {}
            kind::RST_STREAM if refused || self.is_answer_to_head(frame) => {
                self.judged = frame.stream;
                codec.rx_messaging_error.increment(1);
                if !state.keep_connection {
                    self.end(Ending::Protocol(None));
                    return false;
                }
                if refused {
                    state.refuse(frame.stream);
                }
            }
            // `h2`'s own 431, to a head that is too long for it: to Envoy's codec as well, which
            // gives up on its compression state.
            kind::HEADERS if refused => {
                self.end(Ending::Protocol(Some(COMPRESSION_ERROR)));
                return false;
            }
            kind::GOAWAY if frame.value != 0 => {
                self.end(Ending::Protocol(self.reason(frame.value)));
                return false;
            }
            _ => {}
        }
        true
    }

    /// A stream error for trailers rather than for data.
    fn is_answer_to_head(&self, frame: &Frame) -> bool {
        frame.value == PROTOCOL_ERROR
            && frame.stream == self.last.stream
            && matches!(self.last.kind, kind::HEADERS | kind::CONTINUATION)
    }

    /// What Envoy's codec says to a client whose connection `h2` ends with `code`; `None`: it
    /// closes without a word.
    fn reason(&self, code: u32) -> Option<u32> {
        if self.in_block && !matches!(self.last.kind, kind::HEADERS | kind::CONTINUATION) {
            return Some(PROTOCOL_ERROR);
        }
        match (self.last.kind, code) {
            (kind::HEADERS | kind::CONTINUATION, ENHANCE_YOUR_CALM) => Some(COMPRESSION_ERROR),
            (kind::HEADERS | kind::CONTINUATION, PROTOCOL_ERROR)
                if self.last.stream == self.state.highest() =>
            {
                if !self.padded && hpack::is_broken(&self.block) {
                    return Some(COMPRESSION_ERROR);
                }
                self.state.codec.rx_messaging_error.increment(1);
                None
            }
            (kind::PING, PROTOCOL_ERROR) => Some(FRAME_SIZE_ERROR),
            (kind::SETTINGS, PROTOCOL_ERROR) if !self.last.len.is_multiple_of(6) => {
                Some(FRAME_SIZE_ERROR)
            }
            (
                kind::HEADERS | kind::SETTINGS | kind::PUSH_PROMISE | kind::WINDOW_UPDATE,
                PROTOCOL_ERROR | FLOW_CONTROL_ERROR,
            ) => None,
            _ => Some(code),
        }
    }

    /// Counts what has gone out: so many bytes of these.
    fn sent(&mut self, bufs: &[IoSlice<'_>], mut count: usize) {
        for bytes in bufs {
            let mut rest = bytes.get(..count.min(bytes.len())).unwrap_or_default();
            count -= rest.len();
            while let Some(event) = self.outgoing.next(&mut rest) {
                if let Event::Begin(frame) = event {
                    let codec = &self.state.codec;
                    match frame.kind {
                        kind::RST_STREAM => codec.tx_reset.increment(1),
                        kind::GOAWAY => codec.goaway_sent.increment(1),
                        kind::DATA | kind::HEADERS => self.limits.data_sent += 1,
                        _ => {}
                    }
                }
            }
        }
    }

    fn over() -> io::Error {
        io::Error::from(io::ErrorKind::ConnectionAborted)
    }
}

impl<IO: AsyncWrite + Unpin> Http2Gate<IO> {
    /// Writes what is owed. Before the client's preface nothing is written at all: who does not
    /// speak HTTP/2 gets no answer in it.
    fn poll_owed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state.takes_notice() && self.outgoing.is_between_frames() {
            let notice = goaway(0x7fff_ffff, 0);
            // Envoy counts only the last GOAWAY.
            self.owed.extend_from_slice(&notice);
            self.state.notice_given();
        }
        while !self.owed.is_empty() && self.incoming.has_begun() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.owed))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.owed.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

/// A whole GOAWAY frame.
pub(super) fn goaway(last: u32, code: u32) -> [u8; 17] {
    let mut frame = [0, 0, 8, kind::GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (to, from) in
        frame.iter_mut().skip(9).zip(last.to_be_bytes().iter().chain(&code.to_be_bytes()))
    {
        *to = *from;
    }
    frame
}

impl<IO: AsyncRead + Unpin> AsyncRead for Http2Gate<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(Err(Self::over()));
        }
        if this.state.is_parked() {
            // The owner of the connection polls it again at once.
            return Poll::Pending;
        }
        if !this.held.is_empty() {
            let mut held = std::mem::take(&mut this.held);
            let room = held.len().min(buf.remaining());
            let passed = this.receive(held.get(..room).unwrap_or_default());
            if !this.ended {
                buf.put_slice(held.get(..passed).unwrap_or_default());
                held.advance(passed);
                this.held = held;
            }
        } else {
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
            let read = buf.filled().get(before..).unwrap_or_default();
            let passed = this.receive(read);
            this.held.extend_from_slice(read.get(passed..).unwrap_or_default());
            buf.set_filled(before + passed);
        }
        if this.ended {
            return Poll::Ready(Err(Self::over()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Http2Gate<IO> {
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
        if this.ended {
            return Poll::Ready(Err(Self::over()));
        }
        ready!(this.poll_owed(cx))?;
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        let allowed = this.send(bufs);
        let written = if !this.incoming.has_begun() {
            for buf in bufs {
                this.owed.extend_from_slice(buf);
            }
            total
        } else if allowed == total {
            let polled = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
            this.outbound.wrote(&polled, &this.outgoing, bufs);
            ready!(polled)?
        } else {
            // Cut off by the end of the connection: what comes before it still goes.
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| &buf[..]);
            let part = first.get(..allowed.min(first.len())).unwrap_or_default();
            if part.is_empty() {
                return Poll::Ready(Err(Self::over()));
            }
            // The rest of it would be written by nobody: a short write is the best that is left.
            ready!(Pin::new(&mut this.io).poll_write(cx, part))?
        };
        this.sent(bufs, written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ended {
            return Poll::Ready(Err(Self::over()));
        }
        if self.incoming.has_begun() {
            ready!(self.poll_owed(cx))?;
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Does nothing: the owner of the connection closes it, when it is time.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
