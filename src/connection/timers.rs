//! The timeouts of a connection, whichever protocol it speaks.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::http1::{GateState, Phase};
use super::open::OpenConnection;
use crate::config::model::ConnectionTimeouts;

/// What has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// The time of a request's head.
    Head,
    /// The client has not taken anything of an answer for the stream idle timeout.
    Stalled,
    /// The time of the connection, and that of its drain: it closes when nothing is under way.
    /// Said once; the other two go on running for what is.
    Connection,
}

/// What a connection is doing, as its timeouts see it.
pub(super) trait Activity {
    /// No request is under way.
    fn is_idle(&self) -> bool;
    /// Requests so far.
    fn requests(&self) -> u64;
    /// When the head began that is being read.
    fn head_since(&self) -> Option<std::time::Instant>;
    /// Since when the client has not taken anything of an answer that it can have.
    fn stalled_since(&self) -> Option<std::time::Instant>;
}

impl Activity for GateState {
    fn is_idle(&self) -> bool {
        self.phase() == Phase::Idle
    }

    fn requests(&self) -> u64 {
        GateState::requests(self)
    }

    fn head_since(&self) -> Option<std::time::Instant> {
        (self.phase() == Phase::Head).then(|| GateState::head_since(self)).flatten()
    }

    fn stalled_since(&self) -> Option<std::time::Instant> {
        GateState::stalled_since(self)
    }
}

/// The timeouts of a connection. One timer serves all: it is set for the earliest and looks again
/// when it fires, so a request neither sets nor clears one.
pub(super) struct Timers {
    idle: Option<Duration>,
    head: Option<Duration>,
    stall: Option<Duration>,
    drain: Duration,
    life_ends: Option<Instant>,
    idle_since: Instant,
    requests: u64,
    /// Idle or old: the connection closes when this is over and it is idle.
    drain_ends: Option<Instant>,
    /// It has been said that the connection's time is up.
    over: bool,
    sleep: Pin<Box<Sleep>>,
}

impl Timers {
    /// `stall` is for answers that the client does not take.
    pub(super) fn new(
        timeouts: &ConnectionTimeouts,
        stall: Option<Duration>,
        began: Instant,
    ) -> Self {
        let life_ends = timeouts.max_connection_duration.map(|life| began + life);
        let first = [timeouts.idle, timeouts.request_headers, timeouts.max_connection_duration];
        let first = first.into_iter().flatten().min().unwrap_or(FAR);
        Self {
            idle: timeouts.idle,
            head: timeouts.request_headers,
            stall,
            drain: timeouts.drain,
            life_ends,
            idle_since: began,
            requests: 0,
            drain_ends: None,
            over: false,
            sleep: Box::pin(sleep_until(began + first)),
        }
    }

    /// Whether the connection is about to end.
    pub(super) fn is_draining(&self) -> bool {
        self.drain_ends.is_some()
    }

    /// The connection has done its work: it closes like one that is too old.
    pub(super) fn drain(&mut self) {
        if self.drain_ends.is_none() {
            let ends = self.drain_from(Instant::now());
            self.sleep.as_mut().reset(ends);
        }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        state: &impl Activity,
        open: &OpenConnection,
    ) -> Poll<Expired> {
        let idle = state.is_idle();
        if idle && self.requests != state.requests() {
            self.requests = state.requests();
            self.idle_since = Instant::now();
        }
        if let Some(limit) = self.head {
            // A head begins at any time: its end may come before what the timer is set for.
            self.set_for(state.head_since(), limit);
        }
        if let Some(limit) = self.stall {
            self.set_for(state.stalled_since(), limit);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let mut next = now + FAR;
            if !self.over {
                match self.poll_life(now, idle, open) {
                    Some(ends) => next = next.min(ends),
                    None => {
                        self.over = true;
                        return Poll::Ready(Expired::Connection);
                    }
                }
            }
            if let (Some(limit), Some(since)) = (self.head, state.head_since()) {
                let ends = Instant::from_std(since) + limit;
                if ends <= now {
                    return Poll::Ready(Expired::Head);
                }
                next = next.min(ends.max(now + Duration::from_millis(1)));
            }
            if let (Some(limit), Some(since)) = (self.stall, state.stalled_since()) {
                let ends = Instant::from_std(since) + limit;
                if ends <= now {
                    return Poll::Ready(Expired::Stalled);
                }
                next = next.min(ends);
            }
            self.sleep.as_mut().reset(next);
        }
        Poll::Pending
    }

    /// When to look again at the connection's own time; `None` when it is up.
    fn poll_life(&mut self, now: Instant, idle: bool, open: &OpenConnection) -> Option<Instant> {
        if let Some(ends) = self.drain_ends {
            return (ends > now).then_some(ends);
        }
        let mut next = now + FAR;
        if let Some(ends) = self.life_ends {
            if ends <= now {
                open.stats().cx_max_duration_reached.increment(1);
                return Some(self.drain_from(now));
            }
            next = next.min(ends);
        }
        if let Some(limit) = self.idle {
            let ends = self.idle_since + limit;
            if !idle {
                next = next.min(now + limit);
            } else if ends <= now {
                open.stats().cx_idle_timeout.increment(1);
                return Some(self.drain_from(now));
            } else {
                next = next.min(ends);
            }
        }
        Some(next)
    }

    fn drain_from(&mut self, now: Instant) -> Instant {
        let ends = now + self.drain;
        self.drain_ends = Some(ends);
        ends
    }

    fn set_for(&mut self, since: Option<std::time::Instant>, limit: Duration) {
        let Some(since) = since else { return };
        let ends = Instant::from_std(since) + limit;
        if ends < self.sleep.deadline() {
            self.sleep.as_mut().reset(ends);
        }
    }
}

/// Longer than anything that is waited for.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use front_proxy_layers::stats::{DownstreamStats, Scope};

    use super::*;

    /// A connection on which something is under way.
    #[derive(Default)]
    struct Busy {
        head_since: Option<Instant>,
        stalled_since: Option<Instant>,
    }

    impl Activity for Busy {
        fn is_idle(&self) -> bool {
            false
        }

        fn requests(&self) -> u64 {
            1
        }

        fn head_since(&self) -> Option<std::time::Instant> {
            self.head_since.map(Instant::into_std)
        }

        fn stalled_since(&self) -> Option<std::time::Instant> {
            self.stalled_since.map(Instant::into_std)
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// What runs out first, and after how many seconds; `None` for nothing within an hour.
    async fn next(timers: &mut Timers, busy: &Busy, began: Instant) -> Option<(Expired, u64)> {
        let stats = Arc::new(DownstreamStats::new(&Scope::from_metrics(), "t"));
        let open = OpenConnection::new(&stats, false);
        let next = poll_fn(|cx| timers.poll(cx, busy, &open));
        let expired = tokio::time::timeout(3600 * SECOND, next).await.ok()?;
        Some((expired, began.elapsed().as_secs()))
    }

    fn timeouts() -> ConnectionTimeouts {
        ConnectionTimeouts {
            idle: None,
            max_connection_duration: Some(SECOND),
            request_headers: Some(20 * SECOND),
            drain: SECOND,
            ..ConnectionTimeouts::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_ends_a_connection_also_after_its_drain() {
        let began = Instant::now();
        let mut timers = Timers::new(&timeouts(), Some(10 * SECOND), began);
        let busy = Busy { stalled_since: Some(began), ..Busy::default() };
        assert_eq!(next(&mut timers, &busy, began).await, Some((Expired::Connection, 2)));
        assert_eq!(next(&mut timers, &busy, began).await, Some((Expired::Stalled, 10)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_waited_for_no_longer_after_a_drain() {
        let began = Instant::now();
        let mut timers = Timers::new(&timeouts(), None, began);
        let mut busy = Busy::default();
        assert_eq!(next(&mut timers, &busy, began).await, Some((Expired::Connection, 2)));
        // It begins when the drain is over.
        busy.head_since = Some(Instant::now());
        assert_eq!(next(&mut timers, &busy, began).await, Some((Expired::Head, 22)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_connection_is_up_once() {
        let began = Instant::now();
        let mut timers = Timers::new(&timeouts(), Some(SECOND), began);
        let busy = Busy::default();
        assert_eq!(next(&mut timers, &busy, began).await, Some((Expired::Connection, 2)));
        assert_eq!(next(&mut timers, &busy, began).await, None);
    }
}
