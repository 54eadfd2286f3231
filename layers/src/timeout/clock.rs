use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::layer::Options;
use crate::body::RequestProgress;
use crate::clock;
use crate::error::{ErrorKind, ProxyError};
use crate::timer::Timer;

/// The timeouts of one request and its response.
///
/// Nothing is registered with the runtime before the first poll that finds nothing ready. The one
/// timer is set for the earliest moment at which any of the timeouts could strike; what happened
/// meanwhile is looked at then.
#[derive(Debug)]
pub(super) struct Clock {
    options: Arc<Options>,
    /// The route timeout, which a trusted client may set.
    route: Option<Duration>,
    /// The request, where it was not complete from the start.
    request: Option<Arc<RequestProgress>>,
    began: Instant,
    /// When something of the response last came through.
    active: Instant,
    wake: Instant,
    timer: Timer,
}

impl Clock {
    /// `None` where there is nothing to wait for.
    pub(super) fn start(
        options: &Arc<Options>,
        route: Option<Duration>,
        request: Option<Arc<RequestProgress>>,
    ) -> Option<Self> {
        let shortest = [options.shortest, route].into_iter().flatten().min()?;
        let began = clock::now();
        Some(Self {
            options: Arc::clone(options),
            route,
            request,
            began,
            active: began,
            wake: began + shortest,
            timer: Timer::new(),
        })
    }

    /// Something of the response came through.
    pub(super) fn touch(&mut self) {
        if self.options.idle.is_some() {
            self.active = clock::now();
        }
    }

    /// The head of the response is there. Where it switches protocols, there is no response to wait
    /// for any more.
    pub(super) fn answered(&mut self, status: StatusCode) {
        if self.request.as_ref().is_some_and(|request| request.is_granted(status)) {
            self.route = None;
        }
    }

    /// Ready with the timeout that struck, which is counted.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ProxyError> {
        loop {
            ready!(self.timer.poll(cx, self.wake));
            match self.look(Instant::now()) {
                Ok(next) => self.wake = next,
                Err(kind) => {
                    self.options.count(kind);
                    return Poll::Ready(ProxyError::new(kind));
                }
            }
        }
    }

    /// The timeout that has struck, or when to look again.
    fn look(&self, now: Instant) -> Result<Instant, ErrorKind> {
        let options = &self.options;
        let complete = match &self.request {
            None => Some(self.began),
            Some(request) => request.completed_at().map(Instant::from_std),
        };
        let mut next = Next { now, at: None, struck: None };
        if let Some(route) = self.route {
            match complete {
                Some(complete) => next.due(complete + route, ErrorKind::UpstreamTimeout),
                // It can't be due before this, whenever the request is complete.
                None if !self.is_switch() => next.look_at(now + route),
                // What a switch asks for is complete with its head; no body ever ends.
                None => next.due(self.began + route, ErrorKind::UpstreamTimeout),
            }
        }
        if let Some(idle) = options.idle {
            let received = self.request.as_ref();
            let received = received.map_or(self.began, |r| Instant::from_std(r.active_at()));
            let kind = match complete {
                Some(_) => ErrorKind::IdleTimeout,
                None => ErrorKind::RequestIdleTimeout,
            };
            next.due(self.active.max(received) + idle, kind);
        }
        if let (Some(limit), None) = (options.request, complete)
            && !self.is_switch()
        {
            next.due(self.began + limit, ErrorKind::RequestTimeout);
        }
        if let Some(limit) = options.max_stream {
            next.due(self.began + limit, ErrorKind::MaxDuration);
        }
        if let Some(limit) = options.max_upstream_stream {
            next.due(self.began + limit, ErrorKind::MaxUpstreamDuration);
        }
        match next {
            Next { struck: Some((_, kind)), .. } => Err(kind),
            Next { at, .. } => Ok(at.unwrap_or(now + FAR)),
        }
    }

    fn is_switch(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.is_switch())
    }
}

/// Longer than anything that is waited for.
const FAR: Duration = Duration::from_secs(24 * 3600);

struct Next {
    now: Instant,
    at: Option<Instant>,
    struck: Option<(Instant, ErrorKind)>,
}

impl Next {
    fn due(&mut self, at: Instant, kind: ErrorKind) {
        if at > self.now {
            self.look_at(at);
        } else if self.struck.is_none_or(|(earlier, _)| at < earlier) {
            self.struck = Some((at, kind));
        }
    }

    fn look_at(&mut self, at: Instant) {
        self.at = Some(self.at.map_or(at, |earlier| earlier.min(at)));
    }
}
