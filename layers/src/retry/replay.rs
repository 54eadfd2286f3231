//! A request body that can be sent again.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::body::Body;
use crate::error::BoxError;

/// A request body of which a copy is kept while it streams, so that another try can have it from
/// the start. Each try gets a body of its own from [`replay`](Self::replay).
///
/// The copy is bounded. A body that outgrows it goes on to whoever reads it now, but can't be had
/// again: the retry is given up, never the request.
#[derive(Clone)]
pub(super) struct Replay(Arc<Mutex<Shared>>);

struct Shared {
    source: Body,
    /// The frames so far, in order; with `keep` off, those which the reader has not had yet.
    frames: VecDeque<Kept>,
    /// How many of `frames` the reader has had.
    position: usize,
    bytes: usize,
    limit: usize,
    keep: bool,
    /// Which try reads. Bodies of earlier ones may still lie in a dying connection.
    reader: u32,
    /// Called when the copy is given up.
    on_outgrown: Option<Box<dyn FnOnce() + Send>>,
}

enum Kept {
    Data(Bytes),
    Trailers(http::HeaderMap),
}

impl Kept {
    fn bytes(&self) -> usize {
        match self {
            Self::Data(data) => data.len(),
            Self::Trailers(_) => 0,
        }
    }

    fn frame(&self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data.clone()),
            Self::Trailers(trailers) => Frame::trailers(trailers.clone()),
        }
    }
}

impl Replay {
    /// Over `source`, with a copy of at most `limit` bytes. `on_outgrown` is called if that is not
    /// enough.
    pub(super) fn new(
        source: Body,
        limit: usize,
        on_outgrown: impl FnOnce() + Send + 'static,
    ) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            source,
            frames: VecDeque::new(),
            position: 0,
            bytes: 0,
            limit,
            keep: true,
            reader: 0,
            on_outgrown: Some(Box::new(on_outgrown)),
        })))
    }

    /// The body from its start. Those made before end with an error from now on.
    ///
    /// Must not be called when there [is no copy](Self::is_whole).
    pub(super) fn replay(&self) -> ReplayBody {
        let mut shared = self.lock();
        shared.position = 0;
        shared.reader += 1;
        ReplayBody { reader: shared.reader, shared: Arc::clone(&self.0) }
    }

    /// Whether everything read so far is there to be had again.
    pub(super) fn is_whole(&self) -> bool {
        self.lock().keep
    }

    /// No other try will need the copy.
    pub(super) fn release(&self) {
        let mut shared = self.lock();
        shared.on_outgrown = None;
        shared.forget();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.0)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn forget(&mut self) {
        if self.keep {
            self.keep = false;
            self.frames.drain(..self.position);
            self.position = 0;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.keep {
            if let Some(kept) = self.frames.get(self.position) {
                self.position += 1;
                return Poll::Ready(Some(Ok(kept.frame())));
            }
        } else if let Some(kept) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(kept.frame())));
        }
        let frame = ready!(Pin::new(&mut self.source).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            self.remember(frame);
        }
        Poll::Ready(frame)
    }

    fn remember(&mut self, frame: &Frame<Bytes>) {
        if !self.keep {
            return;
        }
        let kept = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => Kept::Data(data.clone()),
            (None, Some(trailers)) => Kept::Trailers(trailers.clone()),
            (None, None) => return,
        };
        self.bytes += kept.bytes();
        self.frames.push_back(kept);
        self.position = self.frames.len();
        if self.bytes > self.limit {
            self.forget();
            if let Some(on_outgrown) = self.on_outgrown.take() {
                on_outgrown();
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let left =
            if self.keep { self.position < self.frames.len() } else { !self.frames.is_empty() };
        !left && self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let from = if self.keep { self.position } else { 0 };
        let kept: u64 = self.frames.iter().skip(from).map(|kept| kept.bytes() as u64).sum();
        let mut hint = self.source.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(kept));
        }
        hint.set_lower(hint.lower().saturating_add(kept));
        hint
    }
}

/// A request body for one try.
pub(super) struct ReplayBody {
    shared: Arc<Mutex<Shared>>,
    reader: u32,
}

/// The body belongs to a later try now.
#[derive(Debug)]
struct Superseded;

impl fmt::Display for Superseded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request is being tried again")
    }
}

impl std::error::Error for Superseded {}

impl http_body::Body for ReplayBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut shared = lock(&self.shared);
        if shared.reader != self.reader {
            return Poll::Ready(Some(Err(Superseded.into())));
        }
        shared.poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        let shared = lock(&self.shared);
        shared.reader == self.reader && shared.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.shared).size_hint()
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.lock();
        f.debug_struct("Replay")
            .field("bytes", &shared.bytes)
            .field("keep", &shared.keep)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ReplayBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody").field("reader", &self.reader).finish_non_exhaustive()
    }
}
