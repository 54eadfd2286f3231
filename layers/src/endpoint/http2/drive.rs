//! The task that owns an HTTP/2 connection: it moves the frames, and ends the connection.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::Connection;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Http2Connection;
use super::watch::Watched;
use crate::endpoint::Endpoint;
use crate::endpoint::http1::close_stats;
use crate::http2::Keepalive;

/// How a connection ended.
enum End {
    ByUpstream,
    Local,
}

/// Drives `connection` until it ends.
pub(super) async fn drive(
    mut io: Connection<Watched, Bytes>,
    connection: Arc<Http2Connection>,
    owner: Arc<Endpoint>,
) {
    let stats = &owner.shared().stats;
    let seen = &connection.seen;
    let options = &owner.shared().options;
    let mut keepalive =
        options.http2_keepalive.and_then(|times| Some(Keepalive::new(io.ping_pong()?, times)));
    let mut lifetime = Lifetime::new(&owner, &connection);
    let mut close = pin!(connection.close.notified());
    let end = poll_fn(|cx| {
        if let Poll::Ready(result) = Pin::new(&mut io).poll(cx) {
            return Poll::Ready(match result {
                // Nothing was under way any more when it said that it wants no more.
                Ok(()) if seen.goaway() => End::Local,
                Err(error) if error.is_library() && !error.is_remote() => {
                    stats.cx_protocol_error.increment(1);
                    End::Local
                }
                _ => End::ByUpstream,
            });
        }
        if seen.take_settings() {
            let max = u32::try_from(io.max_concurrent_send_streams()).unwrap_or(u32::MAX);
            connection.max_streams.store(max, Ordering::Relaxed);
        }
        if seen.goaway() {
            connection.close_when_idle();
        }
        if close.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Local);
        }
        if let Some(keepalive) = &mut keepalive
            && keepalive.poll_dead(cx).is_ready()
        {
            stats.http2().keepalive_timeout.increment(1);
            return Poll::Ready(End::Local);
        }
        lifetime.poll(cx, &connection, &owner)
    })
    .await;
    connection.closed.store(true, Ordering::Release);
    // What came with the end may complete responses: their requests are no longer active.
    tokio::task::yield_now().await;
    let active =
        connection.streams.load(Ordering::Relaxed) > 0 || connection.cut.load(Ordering::Relaxed);
    let requests = connection.requests.load(Ordering::Relaxed);
    let by_upstream = matches!(end, End::ByUpstream);
    close_stats(&owner, by_upstream, active, connection.opened, requests);
    owner.forget_http2(&connection);
}

/// `idle_timeout` and `max_connection_duration`: one timer, which looks again when it fires.
struct Lifetime {
    ends: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Lifetime {
    fn new(owner: &Endpoint, connection: &Http2Connection) -> Self {
        let options = &owner.shared().options;
        let ends = options.max_duration.map(|life| connection.opened + life);
        let idle = options.idle_timeout.map(|idle| connection.opened + idle);
        let first = [ends, idle].into_iter().flatten().min();
        Self { ends, sleep: first.map(|at| Box::pin(sleep_until(at))) }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        connection: &Http2Connection,
        owner: &Endpoint,
    ) -> Poll<End> {
        let Some(sleep) = &mut self.sleep else {
            return Poll::Pending;
        };
        while sleep.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let stats = &owner.shared().stats;
            if self.ends.is_some_and(|ends| ends <= now) {
                self.ends = None;
                stats.cx_max_duration_reached.increment(1);
                connection.close_when_idle();
            }
            let mut next = self.ends;
            if let Some(limit) = owner.shared().options.idle_timeout {
                let idle_ends = match connection.idle_since() {
                    Some(since) => since + limit,
                    None => now + limit,
                };
                if idle_ends <= now {
                    stats.cx_idle_timeout.increment(1);
                    return Poll::Ready(End::Local);
                }
                next = Some(next.map_or(idle_ends, |next| next.min(idle_ends)));
            }
            let Some(next) = next else {
                self.sleep = None;
                return Poll::Pending;
            };
            sleep.as_mut().reset(next);
        }
        Poll::Pending
    }
}
