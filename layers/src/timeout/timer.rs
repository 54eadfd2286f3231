use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::body::RequestProgress;

/// A timer that starts when the request is complete.
///
/// Nothing is registered with the runtime before the first poll that finds the response not
/// ready, and a request that is complete from the start needs no memory for it.
pub(crate) struct Timer {
    state: State,
}

enum State {
    Off,
    /// The time is known; no timer yet.
    Due(Instant),
    /// Waiting for the end of the request.
    Receiving(Pin<Box<dyn Future<Output = ()> + Send>>, Arc<RequestProgress>, Duration),
    Running(Pin<Box<Sleep>>),
}

impl Timer {
    pub(crate) fn new(duration: Option<Duration>, progress: Option<Arc<RequestProgress>>) -> Self {
        let state = match (duration, progress) {
            (None, _) => State::Off,
            (Some(duration), None) => State::Due(Instant::now() + duration),
            (Some(duration), Some(progress)) => {
                let watched = Arc::clone(&progress);
                let ended = Box::pin(async move { watched.ended().await });
                State::Receiving(ended, progress, duration)
            }
        };
        Self { state }
    }

    /// Ready when the time is up.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.state {
                State::Off => return Poll::Pending,
                State::Due(at) => self.state = State::Running(Box::pin(sleep_until(*at))),
                State::Receiving(ended, progress, duration) => {
                    ready!(ended.as_mut().poll(cx));
                    self.state = match progress.completed_at() {
                        Some(at) => State::Due(at + *duration),
                        // The client is gone: the connection's end will end the request.
                        None => State::Off,
                    };
                }
                State::Running(sleep) => return sleep.as_mut().poll(cx),
            }
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Off => "Off",
            State::Due(_) => "Due",
            State::Receiving(..) => "Receiving",
            State::Running(_) => "Running",
        };
        f.debug_tuple("Timer").field(&state).finish()
    }
}
