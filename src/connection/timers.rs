//! The timeouts of a connection, whichever protocol it speaks.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::http1::{GateState, Phase};
use super::open::OpenConnection;
use crate::listener::FilterChain;

/// What has run out.
pub(super) enum Expired {
    /// The time of a request's head.
    Head,
    /// The client has not taken anything of an answer for the stream idle timeout.
    Stalled,
    /// The time of the connection, and that of its drain: it closes when nothing is under way.
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
    sleep: Pin<Box<Sleep>>,
}

impl Timers {
    pub(super) fn new(chain: &FilterChain, began: Instant) -> Self {
        let timeouts = chain.timeouts();
        let life_ends = timeouts.max_connection_duration.map(|life| began + life);
        let first = [timeouts.idle, timeouts.request_headers, timeouts.max_connection_duration];
        let first = first.into_iter().flatten().min().unwrap_or(FAR);
        Self {
            idle: timeouts.idle,
            head: timeouts.request_headers,
            stall: chain.stall_timeout,
            drain: timeouts.drain,
            life_ends,
            idle_since: began,
            requests: 0,
            drain_ends: None,
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
            let ends = Instant::now() + self.drain;
            self.drain_ends = Some(ends);
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
            if let Some(ends) = self.drain_ends {
                if ends <= now {
                    return Poll::Ready(Expired::Connection);
                }
                next = next.min(ends);
            } else {
                if let Some(ends) = self.life_ends {
                    if ends <= now {
                        open.stats().cx_max_duration_reached.increment(1);
                        self.drain_ends = Some(now + self.drain);
                        next = next.min(now + self.drain);
                    } else {
                        next = next.min(ends);
                    }
                }
                if let Some(limit) = self.idle {
                    let ends = self.idle_since + limit;
                    if !idle || self.drain_ends.is_some() {
                        next = next.min(now + limit);
                    } else if ends <= now {
                        open.stats().cx_idle_timeout.increment(1);
                        self.drain_ends = Some(now + self.drain);
                        next = next.min(now + self.drain);
                    } else {
                        next = next.min(ends);
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
