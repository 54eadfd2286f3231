//! Ending gracefully: what is under way finishes, nothing new begins, and there is a deadline.
//!
//! Envoy cuts the requests under way on SIGTERM. Here listeners close first, then idle connections,
//! then each connection as its request finishes (HTTP/1 answers with `connection: close`, HTTP/2
//! with GOAWAY); what is left at the deadline is cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// What connections and listeners are to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Go on.
    #[default]
    Running,
    /// Accept nothing new; connections go on.
    ListenersClosed,
    /// Accept nothing new; close connections as they become idle.
    Draining,
    /// End now.
    Stopped,
}

/// The side that says so. Phases only go forward.
#[derive(Debug)]
pub struct Shutdown {
    phase: watch::Sender<Phase>,
    leave: Arc<AtomicBool>,
}

/// The side that listens. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Signal {
    phase: watch::Receiver<Phase>,
    leave: Arc<AtomicBool>,
}

impl Shutdown {
    /// A new one, in [`Phase::Running`].
    pub fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Running), leave: Arc::default() }
    }

    /// Goes on to `phase`, unless it is there or further already.
    pub fn advance(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let forward = (*current as u8) < (phase as u8);
            if forward {
                *current = phase;
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
        self.leave.store(leave, Ordering::Relaxed);
    }

    /// A listener to it.
    pub fn signal(&self) -> Signal {
        Signal { phase: self.phase.subscribe(), leave: Arc::clone(&self.leave) }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Signal {
    /// Waits until `phase` or a later one is reached. A dropped [`Shutdown`] counts as the last.
    pub async fn reached(&mut self, phase: Phase) {
        let _ = self.phase.wait_for(|current| *current as u8 >= phase as u8).await;
    }

    /// The phase as of now.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Whether clients are asked to leave.
    pub fn asks_to_leave(&self) -> bool {
        self.leave.load(Ordering::Relaxed)
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
}
