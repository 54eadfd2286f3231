//! Timers that are seldom registered.
//!
//! Nearly every request waits for its upstream with a timeout that never strikes. Registering a
//! timer with the runtime for each, and taking it out again, costs more than all else a timeout
//! has to do. So timers are kept when their request has ended, registered as they are, and handed
//! to the next request of the thread: one that fires too early is set anew then, which happens
//! once in a timeout's length rather than once in a request.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::runtime::{Handle, Id};
use tokio::time::{Instant, Sleep, sleep_until};

/// How many timers a thread keeps for later. Each keeps the memory of the task that waited with
/// it last, until it fires or is used again.
const SPARE: usize = 256;

thread_local! {
    /// The timers at hand, all of one runtime.
    static AT_HAND: RefCell<Option<AtHand>> = const { RefCell::new(None) };
}

/// Timers, and the runtime that they belong to.
type AtHand = (Id, Vec<Pin<Box<Sleep>>>);

/// A timer; it costs nothing before its first poll.
#[derive(Default)]
pub(crate) struct Timer(Option<(Id, Pin<Box<Sleep>>)>);

impl Timer {
    /// Not running.
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Ready at `deadline`, which may be another one at each call.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let (_, sleep) = self.0.get_or_insert_with(|| take(deadline));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let Some((runtime, sleep)) = self.0.take() else { return };
        // The thread may be ending, or belong to another runtime by now: then it is just dropped.
        let _ = AT_HAND.try_with(|at_hand| {
            if let Ok(mut at_hand) = at_hand.try_borrow_mut()
                && let Some((id, spare)) = &mut *at_hand
                && *id == runtime
                && spare.len() < SPARE
            {
                spare.push(sleep);
            }
        });
    }
}

/// A timer of this thread that is at hand, or a new one.
fn take(deadline: Instant) -> (Id, Pin<Box<Sleep>>) {
    let runtime = Handle::current().id();
    let spare = AT_HAND.with_borrow_mut(|at_hand| match at_hand {
        Some((id, spare)) if *id == runtime => spare.pop(),
        other => {
            // A timer belongs to its runtime, which is gone if the thread has another one.
            *other = Some((runtime, Vec::new()));
            None
        }
    });
    (runtime, spare.unwrap_or_else(|| Box::pin(sleep_until(deadline))))
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.0.as_ref().map(|(_, sleep)| sleep.deadline());
        f.debug_tuple("Timer").field(&set).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    async fn wait(timer: &mut Timer, deadline: Instant) {
        poll_fn(|cx| timer.poll(cx, deadline)).await;
    }

    fn spare() -> usize {
        AT_HAND.with_borrow(|at_hand| at_hand.as_ref().map_or(0, |(_, spare)| spare.len()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_kept_timer_strikes_at_the_new_deadline_whether_later_or_earlier() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut timer = Timer::new();
        tokio::time::timeout(Duration::from_secs(1), wait(&mut timer, after(5)))
            .await
            .expect_err("not yet");
        drop(timer);
        assert_eq!(spare(), 1);

        let mut timer = Timer::new();
        wait(&mut timer, after(20)).await;
        assert_eq!(Instant::now(), after(20));
        assert_eq!(spare(), 0, "the kept one was used");
        drop(timer);

        let mut later = Timer::new();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(later.poll(&mut cx, after(100)).is_pending());
        drop(later);
        let mut timer = Timer::new();
        wait(&mut timer, after(30)).await;
        assert_eq!(Instant::now(), after(30));
        wait(&mut timer, after(31)).await;
        assert_eq!(Instant::now(), after(31), "and it can be used on");
    }

    #[test]
    fn a_timer_of_a_runtime_that_is_gone_is_not_used() {
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.expect("a runtime").block_on(async {
                let mut timer = Timer::new();
                wait(&mut timer, Instant::now() + Duration::from_millis(5)).await;
            });
        }
        assert_eq!(spare(), 1);
    }
}
