//! How long a client may take to make room for more of a response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// A timer that runs while a client takes nothing. Nothing is made before it has to be waited for.
#[derive(Debug)]
pub(super) struct Stall {
    limit: Option<Duration>,
    room: Option<(u64, u64)>,
    since: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    /// Without a limit it never runs out.
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self { limit, room: None, since: Instant::now(), sleep: None }
    }

    /// Ready when the client has been waited for for too long. `room` is what it has not made room
    /// for, in numbers that differ when it has taken something; `None` if nothing waits for it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, room: Option<(u64, u64)>) -> Poll<()> {
        let (Some(limit), Some(_)) = (self.limit, room) else {
            self.room = None;
            return Poll::Pending;
        };
        if self.room != room {
            self.room = room;
            self.since = Instant::now();
        }
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(limit)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            let ends = self.since + limit;
            if ends <= Instant::now() {
                return Poll::Ready(());
            }
            // It was set for an earlier wait.
            sleep.as_mut().reset(ends);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::advance;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    async fn runs_out(stall: &mut Stall, room: Option<(u64, u64)>) -> bool {
        poll_fn(|cx| Poll::Ready(stall.poll(cx, room).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_client_that_takes_nothing_runs_out_of_time() {
        let mut stall = Stall::new(Some(LIMIT));
        assert!(!runs_out(&mut stall, Some((1, 1))).await);
        advance(LIMIT - Duration::from_millis(5)).await;
        assert!(!runs_out(&mut stall, Some((2, 1))).await, "it took something");
        advance(Duration::from_millis(10)).await;
        assert!(!runs_out(&mut stall, Some((2, 1))).await);
        advance(LIMIT).await;
        assert!(!runs_out(&mut stall, None).await, "nothing waits");
        assert!(!runs_out(&mut stall, Some((3, 1))).await, "a wait begins");
        tokio::time::timeout(LIMIT * 2, poll_fn(|cx| stall.poll(cx, Some((3, 1))))).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_it_waits() {
        let mut stall = Stall::new(None);
        assert!(!runs_out(&mut stall, Some((1, 1))).await);
        advance(LIMIT * 1000).await;
        assert!(!runs_out(&mut stall, Some((1, 1))).await);
    }
}
