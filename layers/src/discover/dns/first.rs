//! Waiting for the first lookup of a cluster to end.

use tokio::sync::watch;

/// Ends when a discovery has completed its first lookup, whatever came of it.
///
/// It also ends when the discovery is gone, so that nobody waits for ever.
#[derive(Clone, Debug)]
pub struct FirstResolution(watch::Receiver<bool>);

impl FirstResolution {
    /// Waits for it; at once if it has happened.
    pub async fn wait(mut self) {
        // An error means that the discovery was dropped: there is nothing left to wait for.
        _ = self.0.wait_for(|done| *done).await;
    }
}

#[derive(Debug)]
pub(super) struct Announce(watch::Sender<bool>);

impl Announce {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(super) fn subscribe(&self) -> FirstResolution {
        FirstResolution(self.0.subscribe())
    }

    pub(super) fn done(&self) {
        self.0.send_if_modified(|done| !std::mem::replace(done, true));
    }
}
