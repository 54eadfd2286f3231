//! A request with its tries.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::Body as _;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;

use super::ResponseBody;
use super::body::Idle;
use super::clock::Clock;
use super::layer::Options;
use super::plan::Plan;
use super::replay::Replay;
use super::state::{Verdict, is_reset};
use crate::body::{Body, RequestProgress};
use crate::cluster::Tries;
use crate::error::{ErrorKind, ProxyError};
use crate::response_flags::ResponseFlags;
use crate::router::AttemptCount;
use crate::timeout;

const EXPECTED: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");

pin_project! {
    /// The tries of one request.
    pub(super) struct Tried<S, F> {
        service: S,
        call: Call,
        #[pin]
        step: Step<F>,
    }
}

/// All of a request but the try under way.
struct Call {
    options: Arc<Options>,
    plan: Plan,
    head: Parts,
    /// `None` where there is no body.
    body: Option<Replay>,
    /// The body of a request to switch protocols.
    switch: Option<Body>,
    /// The body of a request that nothing will repeat.
    once: Option<Body>,
    progress: Option<Arc<RequestProgress>>,
    called: Instant,
    tries: Arc<Tries>,
    count: u32,
    clocks: Clocks,
}

/// What bounds a try; they run once it was sent.
#[derive(Default)]
struct Clocks {
    running: bool,
    timeout: Option<Clock>,
    idle: Option<Box<Idle>>,
}

pin_project! {
    #[project = StepProj]
    enum Step<F> {
        /// The service has yet to become ready, but for the first try.
        Readying { ready: bool },
        Trying { #[pin] future: F },
        BackingOff { #[pin] sleep: Sleep },
    }
}

impl<S, F> Tried<S, F> {
    pub(super) fn new(
        service: S,
        request: Request<Body>,
        plan: Plan,
        options: Arc<Options>,
    ) -> Self {
        let (head, body) = request.into_parts();
        let repeats = plan.state.is_some();
        let switch = body.switch_again();
        let (body, once) = if body.is_end_stream() || switch.is_some() {
            (None, None)
        } else if repeats {
            let stats = Arc::clone(&options.stats);
            let outgrown = move || stats.retry_or_shadow_abandoned.increment(1);
            (Some(Replay::new(body, options.buffer_limit, outgrown)), None)
        } else {
            (None, Some(body))
        };
        let policy = &options.policy;
        let tries = if policy.avoid_previous_hosts {
            Tries::elsewhere(policy.host_selection_attempts)
        } else {
            Tries::anywhere()
        };
        let progress = head.extensions.get::<Arc<RequestProgress>>().map(Arc::clone);
        let call = Call {
            options,
            plan,
            head,
            body,
            switch,
            once,
            progress,
            called: Instant::now(),
            tries: Arc::new(tries),
            count: 0,
            clocks: Clocks::default(),
        };
        Self { service, call, step: Step::Readying { ready: true } }
    }
}

impl<S, F, R> Tried<S, F>
where
    S: Service<Request<Body>, Response = Response<R>, Error = ProxyError, Future = F>,
    F: Future<Output = Result<Response<R>, ProxyError>>,
{
    pub(super) fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody<R>>, ProxyError>> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepProj::Readying { ready } => {
                    if !*ready {
                        ready!(this.service.poll_ready(cx))?;
                    }
                    let future = this.service.call(this.call.next_try());
                    this.step.set(Step::Trying { future });
                }
                StepProj::Trying { future } => {
                    let outcome = match future.poll(cx) {
                        Poll::Ready(outcome) => outcome,
                        Poll::Pending => {
                            ready!(this.call.poll_clocks(cx));
                            Err(ProxyError::new(ErrorKind::PerTryTimeout))
                        }
                    };
                    match this.call.judge(&outcome) {
                        Verdict::Again(wait) => {
                            // Ends the try: what is left of its response is in the way.
                            drop(outcome);
                            this.step.set(Step::BackingOff { sleep: sleep(wait) });
                        }
                        verdict => {
                            // A try that took too long ends here, not with whoever holds this.
                            this.step.set(Step::Readying { ready: false });
                            return Poll::Ready(this.call.finish(outcome, verdict));
                        }
                    }
                }
                StepProj::BackingOff { sleep } => {
                    ready!(sleep.poll(cx));
                    this.step.set(Step::Readying { ready: false });
                }
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.options.response_attempt_count {
            timeout::tell_attempts(self.count);
        }
    }
}

impl Call {
    /// The request for the next try.
    fn next_try(&mut self) -> Request<Body> {
        self.count += 1;
        self.clocks = Clocks::default();
        let mut head = self.head.clone();
        head.extensions.insert(Arc::clone(&self.tries));
        if self.options.request_attempt_count {
            AttemptCount::new(self.count).write(&mut head.headers);
        }
        if let Some(ms) = self.expected().filter(|_| self.options.announce) {
            head.headers.insert(EXPECTED, HeaderValue::from(ms));
        }
        let body = match (&self.body, &self.switch) {
            (Some(body), _) => Body::new(body.replay()),
            (None, Some(switch)) => switch.switch_again().unwrap_or_default(),
            (None, None) => self.once.take().unwrap_or_default(),
        };
        Request::from_parts(head, body)
    }

    /// How long the upstream has for this try: of the time for all tries what is left of it.
    fn expected(&self) -> Option<u64> {
        let per_try = self.plan.per_try.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        let Some(global) = self.plan.global else {
            return per_try;
        };
        let began = match &self.progress {
            Some(progress) if !progress.is_switch() => {
                progress.completed_at().map(Instant::from_std)
            }
            _ => Some(self.called),
        };
        let elapsed = began.map_or(0, |at| at.elapsed().as_millis());
        let left = global.saturating_sub(u64::try_from(elapsed).unwrap_or(u64::MAX));
        // 0 would be no limit at all.
        Some(per_try.unwrap_or(u64::MAX).min(left).max(1))
    }

    /// Ready when the try has taken too long.
    fn poll_clocks(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Plan { per_try, per_try_idle, .. } = self.plan;
        let clocks = &mut self.clocks;
        if !clocks.running {
            // Waiting for a connection does not count: it has a timeout of its own.
            if (per_try.is_none() && per_try_idle.is_none()) || !self.tries.is_sent() {
                return Poll::Pending;
            }
            clocks.running = true;
            clocks.timeout = per_try.map(|duration| Clock::start(duration, self.progress.as_ref()));
            clocks.idle = per_try_idle.map(|duration| {
                let stats = Arc::clone(&self.options.stats);
                Box::new(Idle::new(duration, stats, Arc::clone(&self.tries)))
            });
        }
        if let Some(timeout) = &mut clocks.timeout
            && timeout.poll(cx).is_ready()
        {
            clocks.timeout = None;
            self.options.stats.rq_per_try_timeout.increment(1);
            self.tries.timed_out();
            return Poll::Ready(());
        }
        let Some(idle) = &mut clocks.idle else {
            return Poll::Pending;
        };
        if let Some(progress) = &self.progress {
            idle.touch_at(Instant::from_std(progress.active_at()));
        }
        idle.poll(cx)
    }

    /// What becomes of a try.
    fn judge<R>(&mut self, outcome: &Result<Response<R>, ProxyError>) -> Verdict {
        // A body that can't be had again is given up on, and so are retries.
        let whole = self.body.as_ref().is_none_or(Replay::is_whole);
        let Some(state) = self.plan.state.as_mut().filter(|_| whole) else {
            return Verdict::Final;
        };
        match outcome {
            Ok(response) => {
                let verdict = state.response(response.status(), response.headers());
                if let Verdict::Again(_) = verdict {
                    self.options.stats.charge_retry(response.status());
                }
                verdict
            }
            Err(error) if is_reset(error.kind()) => {
                state.failure(error.kind(), self.tries.is_sent())
            }
            Err(_) => Verdict::Final,
        }
    }

    /// The answer of the last try as the answer to the request.
    fn finish<R>(
        &mut self,
        outcome: Result<Response<R>, ProxyError>,
        verdict: Verdict,
    ) -> Result<Response<ResponseBody<R>>, ProxyError> {
        // What was kept for another try is not needed any more, nor is its place.
        if let Some(body) = &self.body {
            body.release();
        }
        self.once = None;
        self.plan.state = None;
        let denied = match verdict {
            Verdict::Denied(why) => Some(why),
            Verdict::Again(_) | Verdict::Final => None,
        };
        let count = self.options.response_attempt_count.then_some(self.count);
        match outcome {
            Ok(mut response) => {
                if let Some(count) = count {
                    AttemptCount::new(count).write(response.headers_mut());
                    response.extensions_mut().insert(AttemptCount::new(count));
                }
                if let Some(flag) = denied {
                    response.extensions_mut().insert(ResponseFlags::from(flag));
                }
                let idle = self.idle_of_response();
                Ok(response.map(|body| ResponseBody::bounded(body, idle)))
            }
            Err(mut error) => {
                if self.count > 1 {
                    error = error.after_retries();
                }
                if let Some(flag) = denied {
                    error = error.with_flag(flag);
                }
                Err(match count {
                    Some(count) => error.with_attempt_count(count),
                    None => error,
                })
            }
        }
    }

    fn idle_of_response(&mut self) -> Option<Box<Idle>> {
        let mut idle = match self.clocks.idle.take() {
            Some(idle) => idle,
            None => {
                let stats = Arc::clone(&self.options.stats);
                let tries = Arc::clone(&self.tries);
                Box::new(Idle::new(self.plan.per_try_idle?, stats, tries))
            }
        };
        idle.touch();
        Some(idle)
    }
}
