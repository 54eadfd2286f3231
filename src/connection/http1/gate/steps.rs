//! What happens to bytes on their way from the client to hyper.

use bytes::BytesMut;
use tokio::io::ReadBuf;

use super::{At, CONTINUE, Http1Gate, Tunnel, advance};
use crate::connection::http1::detect::{Protocol, protocol};
use crate::connection::http1::framing::{Chunked, Framing, Progress};
use crate::connection::http1::head::{EndFinder, Found, Head, read};
use crate::connection::http1::refusal::{Refusal, RefusalKind};
use crate::connection::http1::scan::scan;
use crate::connection::http1::state::Phase;

impl<IO> Http1Gate<IO> {
    /// Lets pass what may go to hyper as it stands; the rest of what was just read is held.
    pub(super) fn pass(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let input = buf.filled().get(before..).unwrap_or_default();
        let mut passed = 0;
        let released = self.state.requests();
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
                    let upgrade = if head.upgrade { Tunnel::ByUpgrade } else { Tunnel::Never };
                    self.release(is_head(rest), head.framing, upgrade);
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
        if self.state.requests() > released {
            // What came along with a head is looked at before hyper sees the head: a body that is
            // broken from the start must not reach an upstream.
            while self.refusable && !self.held.is_empty() && !matches!(self.at, At::Head) {
                if !self.work() {
                    break;
                }
            }
        }
        if matches!(self.at, At::Refused) {
            self.state.describe_refused(input);
            buf.set_filled(before);
            return;
        }
        buf.set_filled(before + passed);
    }

    /// Works on held bytes; what is accepted goes to `ready`. Says whether it came on.
    pub(super) fn work(&mut self) -> bool {
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
        if matches!(self.at, At::Refused | At::Stopped { .. }) {
            // Nothing of it goes anywhere any more.
            return true;
        }
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
                    let to_head = is_head(head);
                    self.ready.extend_from_slice(head);
                    let tunnel = if plain.upgrade { Tunnel::ByUpgrade } else { Tunnel::Never };
                    self.release(to_head, plain.framing, tunnel);
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

    pub(super) fn hand_over(&mut self, head: &Head) {
        self.ready.extend_from_slice(&head.bytes);
        let tunnel = match (head.connect, head.upgrade) {
            (true, _) => Tunnel::ByConnect,
            (false, true) => Tunnel::ByUpgrade,
            (false, false) => Tunnel::Never,
        };
        self.release(is_head(&head.bytes), head.framing, tunnel);
    }

    /// A request goes to hyper.
    fn release(&mut self, to_head: bool, framing: Framing, tunnel: Tunnel) {
        self.began = true;
        self.to_head = to_head;
        self.quiet = false;
        self.answering = false;
        self.tunnel = tunnel;
        let phase = match framing {
            Framing::Empty | Framing::Length(0) => Phase::Answer,
            _ => Phase::Body,
        };
        self.state.release(phase);
        self.refusable = true;
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
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        let mut refusal = Refusal { answered: true, ..refusal };
        refusal.sign(&self.config.server_header);
        self.owed.extend_from_slice(&refusal.answer());
        self.state.set_refusal(refusal);
        self.held = BytesMut::new();
        self.at = At::Refused;
    }

    /// Refuses the body of a request the service already has.
    pub(super) fn stop(&mut self, kind: RefusalKind) {
        if self.refusable {
            // hyper has not been given the head yet: the whole request is refused.
            self.state.take_back();
            self.ready = BytesMut::new();
            self.tunnel = Tunnel::Never;
            self.refuse(Refusal { to_head: self.to_head, ..Refusal::new(kind) });
            return;
        }
        let answered = !self.answering && !self.state.all_answered();
        let mut refusal =
            Refusal { head_seen: true, to_head: self.to_head, answered, ..Refusal::new(kind) };
        if answered {
            refusal.sign(&self.config.server_header);
            self.owed.extend_from_slice(&refusal.answer());
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
}

/// Whether a request's head is one of `HEAD`.
fn is_head(head: &[u8]) -> bool {
    head.starts_with(b"HEAD ")
}
