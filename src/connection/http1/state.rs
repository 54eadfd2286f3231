//! What a connection's gate shows to its owner and to the layers above.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::{Duration, Instant};

use front_proxy_layers::flow_control::{SlowClient, Upstream};
use front_proxy_layers::trailers::TrailerSlot;

use super::refusal::Refusal;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Between requests: `idle_timeout` runs.
    Idle,
    /// A head has begun and is not complete: `request_headers_timeout` runs.
    Head,
    /// The body of a request is being read: `request_timeout` runs.
    Body,
    /// The request is complete, its answer is not.
    Answer,
    /// Raw bytes after a 101, or after a `CONNECT` that was granted.
    Tunnel,
    /// Nothing more is read: the client closed, or a request was refused.
    Closed,
}

impl Phase {
    const ALL: [Self; 6] =
        [Self::Idle, Self::Head, Self::Body, Self::Answer, Self::Tunnel, Self::Closed];
}

/// Shared by a gate, the owner of its connection and the layers above.
///
/// One task writes nearly all of it, so the atomics are plain loads and stores in practice.
#[derive(Debug)]
pub struct GateState {
    created: Instant,
    bytes_in: AtomicU64,
    released: AtomicU64,
    finished: AtomicU64,
    continues: AtomicU32,
    dropped_underscores: AtomicU32,
    phase: AtomicU8,
    /// Nanoseconds between `created` and the first byte of the current head, plus one; 0: none.
    head_since: AtomicU64,
    /// The same for the moment since when the client has taken nothing that is due to it.
    stalled_since: AtomicU64,
    /// Bytes of the answer that were read, while the last have more behind them; else 0.
    more: AtomicU64,
    /// The client was found to be slow, and not yet that it is not.
    slow: AtomicBool,
    slow_client: Mutex<SlowClient>,
    unasked_switch: AtomicBool,
    chunked_head: AtomicBool,
    client_closed: AtomicBool,
    delay_close: AtomicBool,
    linger: AtomicBool,
    leaving: AtomicBool,
    time_out: AtomicBool,
    waiting: AtomicBool,
    waker: Mutex<Option<Waker>>,
    refusal: Mutex<Option<Refusal>>,
    trailers: Option<Arc<TrailerSlot>>,
}

impl GateState {
    pub(super) fn new(trailers: Option<Arc<TrailerSlot>>) -> Self {
        Self {
            created: Instant::now(),
            bytes_in: AtomicU64::new(0),
            released: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            continues: AtomicU32::new(0),
            dropped_underscores: AtomicU32::new(0),
            phase: AtomicU8::new(Phase::Idle as u8),
            head_since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(0),
            more: AtomicU64::new(0),
            slow: AtomicBool::new(false),
            slow_client: Mutex::default(),
            unasked_switch: AtomicBool::new(false),
            chunked_head: AtomicBool::new(false),
            client_closed: AtomicBool::new(false),
            delay_close: AtomicBool::new(false),
            linger: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            time_out: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            waker: Mutex::new(None),
            refusal: Mutex::new(None),
            trailers,
        }
    }

    /// Bytes read from the client.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// Requests handed to hyper so far.
    pub fn requests(&self) -> u64 {
        self.released.load(Ordering::Relaxed)
    }

    /// `100 Continue` answers the gate wrote (`downstream_rq_1xx`).
    pub fn continues(&self) -> u32 {
        self.continues.load(Ordering::Relaxed)
    }

    /// Headers dropped for an underscore (`http1.dropped_headers_with_underscores`).
    pub fn dropped_underscores(&self) -> u32 {
        self.dropped_underscores.load(Ordering::Relaxed)
    }

    /// Where the connection stands.
    pub fn phase(&self) -> Phase {
        let phase = usize::from(self.phase.load(Ordering::Relaxed));
        Phase::ALL.get(phase).copied().unwrap_or(Phase::Closed)
    }

    /// When the first byte of the head came that is being read; `None` unless it is incomplete.
    pub fn head_since(&self) -> Option<Instant> {
        self.moment(&self.head_since)
    }

    /// The same where the client has left and the rest will not come. Envoy has begun to count such a
    /// request, even if all that came is an empty line.
    pub fn left_in_head(&self) -> Option<Instant> {
        self.head_since().filter(|_| self.client_closed() && self.refusal().is_none())
    }

    /// Since when the client has not taken what is to be written to it; `None` while it does.
    pub fn stalled_since(&self) -> Option<Instant> {
        self.moment(&self.stalled_since)
    }

    /// Whether the last answer was a 101 that the client did not ask for. hyper ends a connection
    /// with any 101; Envoy goes on with it as if it were any other answer without a body.
    pub fn unasked_switch(&self) -> bool {
        self.unasked_switch.load(Ordering::Relaxed)
    }

    /// Whether the client has closed its side.
    pub fn client_closed(&self) -> bool {
        self.client_closed.load(Ordering::Relaxed)
    }

    /// Whether closing must wait for the client, or its unread bytes would reset the connection
    /// before it has read the last answer.
    pub fn delay_close(&self) -> bool {
        !self.client_closed() && self.delay_close.load(Ordering::Relaxed)
    }

    /// Whether the client may still be sending what nobody will read, though Envoy would close at
    /// once: waiting costs nothing but the wait, and is not counted.
    pub fn linger(&self) -> bool {
        !self.client_closed() && self.linger.load(Ordering::Relaxed)
    }

    pub(super) fn set_linger(&self) {
        self.linger.store(true, Ordering::Relaxed);
    }

    /// Asks for a delayed close, for an answer given before the request was read.
    pub fn set_delay_close(&self) {
        self.delay_close.store(true, Ordering::Relaxed);
    }

    /// Whether the client was asked to leave (`downstream_cx_drain_close`).
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Notes that it was. It may close first.
    pub(super) fn set_leaving(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.set_delay_close();
    }

    /// The request that was refused, if one was. It is the last of the connection.
    pub fn refusal(&self) -> Option<Refusal> {
        lock(&self.refusal).clone()
    }

    /// Refuses the head that is being read with a 408 when the connection is next polled. Does
    /// nothing outside of [`Phase::Head`].
    pub fn time_out_head(&self) {
        if self.phase() == Phase::Head {
            self.time_out.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn head_timed_out(&self) -> bool {
        self.time_out.load(Ordering::Relaxed)
    }

    /// The answer that comes is one to `HEAD` that does not know its length: Envoy says `chunked`
    /// there as it would to `GET` (RFC 9112 section 6.1 allows it). hyper can't.
    pub(super) fn set_chunked_head(&self) {
        self.chunked_head.store(true, Ordering::Relaxed);
    }

    pub(super) fn take_chunked_head(&self) -> bool {
        self.chunked_head.load(Ordering::Relaxed)
            && self.chunked_head.swap(false, Ordering::Relaxed)
    }

    pub(super) fn set_unasked_switch(&self) {
        self.unasked_switch.store(true, Ordering::Relaxed);
    }

    pub(super) fn set_stalled(&self, stalled: bool) {
        let before = self.stalled_since.load(Ordering::Relaxed);
        if stalled && before == 0 {
            self.stalled_since.store(self.now(), Ordering::Relaxed);
        } else if !stalled && before != 0 {
            self.stalled_since.store(0, Ordering::Relaxed);
        }
    }

    /// Who sends the answer that is being written.
    pub(super) fn served_by(&self, upstream: Upstream) {
        lock(&self.slow_client).served_by(upstream);
    }

    /// So many bytes of an answer were read; and whether that brought some and more is to come.
    pub(super) fn read_answer(&self, bytes: u64, more: bool) {
        self.more.store(if more { bytes } else { 0 }, Ordering::Relaxed);
    }

    /// Counts where the client does not take an answer of which there is more: to be called when
    /// hyper has done all that it can.
    pub(crate) fn look_for_room(&self) {
        let stalled = self.stalled_since.load(Ordering::Relaxed) != 0;
        let full = Some(self.more.load(Ordering::Relaxed)).filter(|more| stalled && *more > 0);
        if full.is_some() || self.slow.load(Ordering::Relaxed) {
            self.slow.store(full.is_some(), Ordering::Relaxed);
            lock(&self.slow_client).look(full);
        }
    }

    /// Nanoseconds since `created`, plus one.
    fn now(&self) -> u64 {
        let nanos = u64::try_from(self.created.elapsed().as_nanos()).unwrap_or(u64::MAX - 1);
        nanos.saturating_add(1)
    }

    fn moment(&self, cell: &AtomicU64) -> Option<Instant> {
        let nanos = cell.load(Ordering::Relaxed).checked_sub(1)?;
        self.created.checked_add(Duration::from_nanos(nanos))
    }

    pub(super) fn read(&self, bytes: usize) {
        add(&self.bytes_in, bytes);
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub(super) fn head_begins(&self) {
        if self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.now(), Ordering::Relaxed);
            self.set_phase(Phase::Head);
        }
    }

    pub(super) fn release(&self, phase: Phase) {
        add(&self.released, 1);
        self.head_since.store(0, Ordering::Relaxed);
        self.set_phase(phase);
    }

    /// A request that was released never got to hyper.
    pub(super) fn take_back(&self) {
        self.released.store(self.requests().saturating_sub(1), Ordering::Relaxed);
    }

    /// Takes down what the refused request asked for; `head` begins with its request line.
    pub(super) fn describe_refused(&self, head: &[u8]) {
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let mut words = line.split(|byte| *byte == b' ');
        let mut word = || words.next().map(|w| String::from_utf8_lossy(w).into_owned());
        if let Some(refusal) = lock(&self.refusal).as_mut() {
            refusal.method = word();
            refusal.target = word();
        }
    }

    pub(super) fn continued(&self) {
        self.continues.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn drop_underscores(&self, headers: u32) {
        self.dropped_underscores.fetch_add(headers, Ordering::Relaxed);
    }

    pub(super) fn set_client_closed(&self) {
        self.client_closed.store(true, Ordering::Relaxed);
        self.set_phase(Phase::Closed);
    }

    pub(super) fn set_refusal(&self, refusal: Refusal) {
        *lock(&self.refusal) = Some(refusal);
        self.set_delay_close();
        self.set_phase(Phase::Closed);
    }

    /// Whether an answer is due or being written.
    pub fn is_answering(&self) -> bool {
        !self.all_answered()
    }

    /// Whether the service is through with every request it got.
    pub(super) fn all_answered(&self) -> bool {
        // Pairs with `finish`: whoever reads the count sees what was done before.
        self.finished.load(Ordering::SeqCst) >= self.released.load(Ordering::Relaxed)
    }

    /// Where trailers of answers go, if they go anywhere.
    pub(super) fn trailers(&self) -> Option<&Arc<TrailerSlot>> {
        self.trailers.as_ref()
    }

    /// One answer has ended.
    pub(super) fn finish(&self) {
        self.finished.fetch_add(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst)
            && self.waiting.swap(false, Ordering::SeqCst)
            && let Some(waker) = lock(&self.waker).take()
        {
            waker.wake();
        }
    }

    /// Wakes the task when the next answer ends, should that happen in another task.
    pub(super) fn wake_when_answered(&self, waker: &Waker) {
        let mut slot = lock(&self.waker);
        if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
        drop(slot);
        self.waiting.store(true, Ordering::SeqCst);
        if self.all_answered() {
            waker.wake_by_ref();
        }
    }
}

/// A lock poisoned by a panic elsewhere still guards valid data: each is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn add(counter: &AtomicU64, count: usize) {
    let sum = counter.load(Ordering::Relaxed).wrapping_add(count as u64);
    counter.store(sum, Ordering::Relaxed);
}
