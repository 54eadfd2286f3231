//! Ending gracefully: what is under way finishes, nothing new begins, and there is a deadline.
//!
//! Envoy cuts the requests under way on SIGTERM. Here listeners close first, then idle connections,
//! then each connection as its request finishes (HTTP/1 answers with `connection: close`, HTTP/2
//! with GOAWAY); what is left at the deadline is cut.

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
pub struct Shutdown(watch::Sender<Phase>);

/// The side that listens. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Signal(watch::Receiver<Phase>);

impl Shutdown {
    /// A new one, in [`Phase::Running`].
    pub fn new() -> Self {
        Self(watch::Sender::new(Phase::Running))
    }

    /// Goes on to `phase`, unless it is there or further already.
    pub fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let forward = (*current as u8) < (phase as u8);
            if forward {
                *current = phase;
            }
            forward
        });
    }

    /// The phase as of now.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// A listener to it.
    pub fn signal(&self) -> Signal {
        Signal(self.0.subscribe())
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
        let _ = self.0.wait_for(|current| *current as u8 >= phase as u8).await;
    }

    /// The phase as of now.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
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
