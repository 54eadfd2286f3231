//! Waiting for a discovery to have looked once.

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

/// Says that the first lookup has ended.
#[derive(Debug)]
pub(crate) struct Announce(watch::Sender<bool>);

impl Announce {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn subscribe(&self) -> FirstResolution {
        FirstResolution(self.0.subscribe())
    }

    pub(crate) fn done(&self) {
        self.0.send_if_modified(|done| !std::mem::replace(done, true));
    }
}
