//! A request body that can be sent again.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::body::Body;
use crate::error::BoxError;
use crate::lock::lock;

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
    /// Whether the client said how long it is. That all of it is here by the second try must not
    /// give that one a length which the first did not have.
    measured: bool,
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
        let measured = source.size_hint().exact().is_some();
        Self(Arc::new(Mutex::new(Shared {
            measured,
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
        if !self.measured {
            hint = SizeHint::default();
        }
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;

    /// A body whose frames come when they are let out.
    struct Source(Arc<Mutex<Feed>>);

    #[derive(Default)]
    struct Feed {
        ready: VecDeque<Frame<Bytes>>,
        ended: bool,
        waker: Option<Waker>,
    }

    impl http_body::Body for Source {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let mut feed = self.0.lock().expect("no panic");
            match feed.ready.pop_front() {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None if feed.ended => Poll::Ready(None),
                None => {
                    feed.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// The client sends so many bytes.
        Feed(usize),
        /// The client has sent all.
        End,
        /// The current try reads a frame.
        Read,
        /// A body of an earlier try is polled once more.
        ReadOld,
        /// The try fails; another begins if the copy is whole.
        Retry,
        /// The response is there: no more tries.
        Release,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0usize..20).prop_map(Step::Feed),
            1 => Just(Step::End),
            6 => Just(Step::Read),
            1 => Just(Step::ReadOld),
            2 => Just(Step::Retry),
            1 => Just(Step::Release),
        ]
    }

    fn poll(body: &mut ReplayBody) -> Poll<Option<Result<Bytes, BoxError>>> {
        use http_body::Body as _;
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(body)
            .poll_frame(&mut cx)
            .map(|f| f.map(|f| f.map(|f| f.into_data().unwrap_or_default())))
    }

    proptest! {
        #[test]
        fn every_try_reads_what_the_client_sent(
            limit in 0usize..60,
            steps in prop::collection::vec(step(), 1..60),
        ) {
            let feed = Arc::new(Mutex::new(Feed::default()));
            let outgrown = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&outgrown);
            let source = Body::new(Source(Arc::clone(&feed)));
            let replay = Replay::new(source, limit, move || {
                counted.fetch_add(1, Ordering::Relaxed);
            });
            let (mut sent, mut got) = (Vec::new(), Vec::new());
            let mut old = None;
            let mut current = replay.replay();
            let (mut most, mut released, mut ended) = (0, false, false);
            let mut read = |current: &mut ReplayBody, got: &mut Vec<u8>, sent: &[u8]| {
                match poll(current) {
                    Poll::Ready(Some(Ok(data))) => {
                        got.extend_from_slice(&data);
                        most = most.max(got.len());
                        true
                    }
                    Poll::Ready(None) => {
                        assert_eq!(got, sent, "the end comes after everything");
                        false
                    }
                    Poll::Ready(Some(Err(error))) => panic!("{error}"),
                    Poll::Pending => false,
                }
            };
            for step in &steps {
                match *step {
                    Step::Feed(n) if !ended => {
                        let data: Vec<u8> = (0..n).map(|i| (sent.len() + i) as u8).collect();
                        sent.extend_from_slice(&data);
                        let mut feed = feed.lock().expect("no panic");
                        feed.ready.push_back(Frame::data(data.into()));
                        if let Some(waker) = feed.waker.take() {
                            waker.wake();
                        }
                    }
                    Step::Feed(_) => {}
                    Step::End => {
                        ended = true;
                        feed.lock().expect("no panic").ended = true;
                    }
                    Step::Read => {
                        read(&mut current, &mut got, &sent);
                    }
                    Step::ReadOld => {
                        if let Some(old) = &mut old {
                            prop_assert!(matches!(poll(old), Poll::Ready(Some(Err(_)))));
                        }
                    }
                    Step::Retry => {
                        if replay.is_whole() {
                            old = Some(std::mem::replace(&mut current, replay.replay()));
                            got.clear();
                        }
                    }
                    Step::Release => {
                        released = true;
                        replay.release();
                    }
                }
                prop_assert!(sent.starts_with(&got), "in order, from the start");
            }
            while read(&mut current, &mut got, &sent) {}
            prop_assert_eq!(&got, &sent, "nothing is held back");
            // The copy is given up exactly if more was read than it may hold.
            if !released {
                prop_assert_eq!(replay.is_whole(), most <= limit);
                prop_assert_eq!(outgrown.load(Ordering::Relaxed), usize::from(most > limit));
            }
            prop_assert!(replay.lock().frames.len() <= steps.len());
            if !replay.is_whole() {
                prop_assert!(replay.lock().frames.is_empty(), "what was read is not kept");
            }
        }
    }

    #[tokio::test]
    async fn a_body_tells_its_length_in_every_try() {
        use http_body::Body as _;
        use http_body_util::BodyExt as _;
        let replay = Replay::new(Body::from(Bytes::from_static(b"payload")), 100, || {});
        let mut first = replay.replay();
        assert_eq!(first.size_hint().exact(), Some(7));
        assert!(first.frame().await.expect("a frame").is_ok());
        assert!(first.is_end_stream());
        let second = replay.replay();
        assert_eq!(second.size_hint().exact(), Some(7));
        assert!(!second.is_end_stream());
        assert_eq!(second.collect().await.expect("whole").to_bytes(), "payload");
    }

    #[tokio::test]
    async fn one_without_a_length_gets_none_in_later_tries() {
        use http_body::Body as _;
        use http_body_util::BodyExt as _;
        let feed = Arc::new(Mutex::new(Feed::default()));
        feed.lock().expect("no panic").ready.push_back(Frame::data(Bytes::from_static(b"a")));
        feed.lock().expect("no panic").ended = true;
        let replay = Replay::new(Body::new(Source(feed)), 100, || {});
        for _ in 0..2 {
            let body = replay.replay();
            assert_eq!(body.size_hint().exact(), None);
            assert_eq!(body.collect().await.expect("whole").to_bytes(), "a");
        }
    }

    #[tokio::test]
    async fn trailers_are_repeated() {
        use http_body_util::{BodyExt as _, Full};
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", http::HeaderValue::from_static("7"));
        let expected = trailers.clone();
        let body = Full::new(Bytes::from_static(b"a"))
            .with_trailers(async move { Some(Ok::<_, Infallible>(trailers)) });
        let replay = Replay::new(Body::new(body), 100, || {});
        for _ in 0..2 {
            let collected = replay.replay().collect().await.expect("whole");
            assert_eq!(collected.trailers(), Some(&expected));
            assert_eq!(collected.to_bytes(), "a");
        }
    }
}
