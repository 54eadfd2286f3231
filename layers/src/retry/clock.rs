//! `per_try_timeout`: how long a try may take, from the end of the request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep_until};

use crate::body::RequestProgress;

/// Ready when a try has taken too long.
pub(super) struct Clock {
    receiving: Option<Receiving>,
    running: Option<Pin<Box<Sleep>>>,
}

/// The request is still coming in, at the client's pace.
struct Receiving {
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    progress: Arc<RequestProgress>,
    duration: Duration,
}

impl Clock {
    pub(super) fn start(duration: Duration, progress: Option<&Arc<RequestProgress>>) -> Self {
        match progress.filter(|progress| progress.completed_at().is_none() && !progress.is_switch())
        {
            None => Self { receiving: None, running: Some(Box::pin(tokio::time::sleep(duration))) },
            Some(progress) => {
                let watched = Arc::clone(progress);
                let ended = Box::pin(async move { watched.ended().await });
                let progress = Arc::clone(progress);
                Self { receiving: Some(Receiving { ended, progress, duration }), running: None }
            }
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(receiving) = &mut self.receiving {
            ready!(receiving.ended.as_mut().poll(cx));
            // Without an end the client is gone, and the request ends with its connection.
            let end = receiving.progress.completed_at().map(|at| at + receiving.duration);
            self.running = end.map(|end| Box::pin(sleep_until(end.into())));
            self.receiving = None;
        }
        match &mut self.running {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("running", &self.running.is_some()).finish_non_exhaustive()
    }
}
