//! `connection_keepalive`: pings, and the end of connections that do not answer them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

/// Pings a peer at an interval.
pub struct Keepalive {
    pings: PingPong,
    interval: Duration,
    timeout: Duration,
    sleep: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Keepalive {
    /// Over `pings`, each `interval`; the answer may take `timeout`.
    pub fn new(pings: PingPong, (interval, timeout): (Duration, Duration)) -> Self {
        Self { pings, interval, timeout, sleep: Box::pin(sleep(interval)), waiting: false }
    }

    /// Ready when an answer has not come in time.
    pub fn poll_dead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.waiting {
                match self.pings.poll_pong(cx) {
                    Poll::Ready(Ok(_)) => {
                        self.waiting = false;
                        self.sleep.as_mut().reset(Instant::now() + self.interval);
                    }
                    // The connection has failed: its own future says so.
                    Poll::Ready(Err(_)) => return Poll::Pending,
                    Poll::Pending => return self.sleep.as_mut().poll(cx),
                }
            }
            ready!(self.sleep.as_mut().poll(cx));
            if self.pings.send_ping(Ping::opaque()).is_err() {
                return Poll::Pending;
            }
            self.waiting = true;
            self.sleep.as_mut().reset(Instant::now() + self.timeout);
        }
    }
}

impl fmt::Debug for Keepalive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keepalive")
            .field("interval", &self.interval)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
