//! Ending gracefully: what is under way finishes, nothing new begins, and there is a deadline.
//!
//! Envoy cuts the requests under way on SIGTERM. Here listeners close first, then idle connections,
//! then each connection as its request finishes (HTTP/1 answers with `connection: close`, HTTP/2
//! with GOAWAY); what is left at the deadline is cut.
//!
//! ```
//! use front_proxy::shutdown::{Phase, Shutdown};
//!
//! let shutdown = Shutdown::new();
//! let signal = shutdown.signal();
//! assert_eq!(signal.phase(), Phase::Running);
//! shutdown.advance(Phase::Draining);
//! assert_eq!(signal.phase(), Phase::Draining);
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;
use tokio::sync::watch;

/// What connections and listeners are to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Go on.
    #[default]
    Running,
    /// The inbound listeners accept nothing new; all else goes on.
    InboundClosed,
    /// Accept nothing new; connections go on.
    ListenersClosed,
    /// Accept nothing new; close connections as they become idle.
    Draining,
    /// End now.
    Stopped,
}

/// Which listeners are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// Those whose `traffic_direction` is `INBOUND`.
    Inbound,
    /// All of them.
    All,
}

/// The side that says so. Phases only go forward.
#[derive(Debug)]
pub struct Shutdown {
    phase: watch::Sender<Phase>,
    leave: Arc<Leave>,
}

/// The side that listens. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Signal {
    phase: watch::Receiver<Phase>,
    leave: Arc<Leave>,
    inbound: bool,
}

/// Why clients are asked to leave.
#[derive(Debug, Default)]
struct Leave {
    /// The [`Phase`], for those who look at it often.
    phase: AtomicU8,
    failing: AtomicBool,
    /// 0, or those of [`Whose`] and 1.
    draining: AtomicU8,
}

impl Shutdown {
    /// A new one, in [`Phase::Running`].
    pub fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Running), leave: Arc::default() }
    }

    /// Goes on to `phase`, unless it is there or further already.
    pub fn advance(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let forward = *current < phase;
            if forward {
                *current = phase;
                // Before anybody is woken.
                self.leave.phase.store(phase as u8, Ordering::Release);
            }
            forward
        });
    }

    /// The phase as of now.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Asks clients to leave, or no longer: with each answer, while all goes on as before. That is
    /// what a server does that fails its health checks on purpose.
    pub fn ask_to_leave(&self, leave: bool) {
        self.leave.failing.store(leave, Ordering::Relaxed);
    }

    /// Asks clients of these listeners to leave, for good.
    pub fn drain(&self, whose: Whose) {
        self.leave.draining.fetch_max(whose as u8 + 1, Ordering::Relaxed);
    }

    /// Closes these listeners.
    pub fn close_listeners(&self, whose: Whose) {
        self.advance(match whose {
            Whose::Inbound => Phase::InboundClosed,
            Whose::All => Phase::ListenersClosed,
        });
    }

    /// A listener to it.
    pub fn signal(&self) -> Signal {
        let (phase, leave) = (self.phase.subscribe(), Arc::clone(&self.leave));
        Signal { phase, leave, inbound: false }
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        self.leave.phase.store(Phase::Stopped as u8, Ordering::Release);
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Signal {
    /// What concerns a listener, and its connections, if that is inbound.
    #[must_use]
    pub fn inbound(mut self, inbound: bool) -> Self {
        self.inbound = inbound;
        self
    }

    /// Waits until the listener is to be closed.
    pub async fn closed(&mut self) {
        let inbound = self.inbound;
        self.reached(if inbound { Phase::InboundClosed } else { Phase::ListenersClosed }).await;
    }

    /// Waits until `phase` or a later one is reached. A dropped [`Shutdown`] counts as the last.
    pub fn reached(&mut self, phase: Phase) -> impl Future<Output = ()> + Send + '_ {
        let leave = Arc::clone(&self.leave);
        let told = async move {
            let _ = self.phase.wait_for(|current| *current >= phase).await;
        };
        Reached { told, leave, waker: None }
    }

    /// The phase as of now.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Whether clients are asked to leave.
    pub fn asks_to_leave(&self) -> bool {
        let least = if self.inbound { Whose::Inbound } else { Whose::All };
        self.leave.failing.load(Ordering::Relaxed)
            || self.leave.draining.load(Ordering::Relaxed) > least as u8
    }
}

pin_project! {
    /// Looks at an atomic as long as nothing has been said at all: a connection is polled for each of
    /// its requests, and the way through a channel is long. After that the channel is asked each
    /// time, for it forgets who waits with every phase.
    struct Reached<F> {
        #[pin]
        told: F,
        leave: Arc<Leave>,
        // Of the task that is told.
        waker: Option<Waker>,
    }
}

impl<F: Future<Output = ()>> Future for Reached<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let is_told = this.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if is_told && this.leave.phase.load(Ordering::Acquire) == Phase::Running as u8 {
            return Poll::Pending;
        }
        let polled = this.told.poll(cx);
        if polled.is_pending() && !is_told {
            *this.waker = Some(cx.waker().clone());
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_only_go_forward() {
        let shutdown = Shutdown::new();
        let mut signal = shutdown.signal();
        shutdown.advance(Phase::Draining);
        shutdown.advance(Phase::ListenersClosed);
        assert_eq!(signal.phase(), Phase::Draining);
        signal.reached(Phase::ListenersClosed).await;
        drop(shutdown);
        signal.reached(Phase::Stopped).await;
    }

    /// What it waits for comes after something else that it is woken for.
    #[tokio::test]
    async fn a_phase_is_reached_by_way_of_others() {
        for phase in [Phase::Draining, Phase::Stopped] {
            let shutdown = Shutdown::new();
            let mut signal = shutdown.signal();
            let waits = tokio::spawn(async move { signal.reached(phase).await });
            for step in [Phase::InboundClosed, Phase::ListenersClosed, phase] {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                assert!(!waits.is_finished(), "{step:?}");
                shutdown.advance(step);
            }
            let reached = tokio::time::timeout(std::time::Duration::from_secs(20), waits).await;
            reached.expect("it is told").expect("no panic");
        }
    }

    #[tokio::test]
    async fn inbound_listeners_close_and_drain_by_themselves() {
        let shutdown = Shutdown::new();
        let (mut inbound, mut other) = (shutdown.signal().inbound(true), shutdown.signal());
        shutdown.drain(Whose::Inbound);
        assert!(inbound.asks_to_leave() && !other.asks_to_leave());
        shutdown.close_listeners(Whose::Inbound);
        inbound.closed().await;
        tokio::select! {
            biased;
            () = other.closed() => panic!("closed as well"),
            () = std::future::ready(()) => {}
        }
        shutdown.drain(Whose::All);
        shutdown.drain(Whose::Inbound);
        shutdown.ask_to_leave(false);
        assert!(other.asks_to_leave(), "health is another matter");
        shutdown.close_listeners(Whose::All);
        other.closed().await;
    }
}
