//! A service that watches how it is used, to put layers around.
//!
//! It keeps tower's contract as strictly as one may: each instance has to be made ready for each
//! call, readiness holds a permit that a call takes over and its response body gives back, clones
//! are not ready. Whatever a caller does against the contract is written down in the [`Ledger`].

#![allow(dead_code)] // each test uses its part

pub(crate) mod layers;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use front_proxy_layers::body::{Body, ResponseBody};
use front_proxy_layers::error::{ErrorKind, ProxyError};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use tower::Service;

/// What all instances of a probe have done, and how they are to behave.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    instances: usize,
    /// The instances that were made ready and those that were called, in order.
    made_ready: Vec<usize>,
    called: Vec<usize>,
    violations: Vec<String>,
    /// Permits in use: by ready instances, calls under way and bodies.
    held: usize,
    permits: Option<usize>,
    unready: Option<ErrorKind>,
    /// How often `poll_ready`, a response and each frame are not there yet when asked for.
    pauses: usize,
    answers: VecDeque<Answer>,
    hints: Option<Hints>,
    /// Bodies of requests, where they are caught.
    caught: Option<Vec<Body>>,
    /// Who waits: only the waker of the last poll counts.
    waiting: Vec<(usize, Waker)>,
}

/// What a call comes to.
#[derive(Clone)]
pub(crate) enum Answer {
    Response(StatusCode, Vec<Step>),
    Failure(ErrorKind),
}

/// What a body does when it is polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    Pending,
    Failure,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// So many calls at a time; the others are not ready.
    pub(crate) fn permits(self, permits: usize) -> Self {
        self.lock().permits = Some(permits);
        self
    }

    /// No instance becomes ready: it fails like this.
    pub(crate) fn unready(self, kind: ErrorKind) -> Self {
        self.lock().unready = Some(kind);
        self
    }

    /// Everything takes this many polls more than one.
    pub(crate) fn pauses(self, pauses: usize) -> Self {
        self.lock().pauses = pauses;
        self
    }

    /// What the calls come to, one after the other. Further ones get an empty 200.
    pub(crate) fn answers(self, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.lock().answers.extend(answers);
        self
    }

    /// What the bodies of responses say of themselves. Default [`Hints::Exact`].
    pub(crate) fn hints(self, hints: Hints) -> Self {
        self.lock().hints = Some(hints);
        self
    }

    /// Keeps the bodies of requests, for [`caught`](Self::caught).
    pub(crate) fn catch(self) -> Self {
        self.lock().caught = Some(Vec::new());
        self
    }

    /// The body of the latest request.
    pub(crate) fn caught(&self) -> Option<Body> {
        self.lock().caught.as_mut()?.pop()
    }

    /// A service with this ledger.
    pub(crate) fn probe(&self) -> Probe {
        Probe {
            id: self.lock().instance(),
            ledger: self.clone(),
            ready: Readiness::No,
            pauses: None,
        }
    }

    pub(crate) fn set_permits(&self, permits: usize) {
        let mut state = self.lock();
        state.permits = Some(permits);
        state.wake_all();
    }

    pub(crate) fn made_ready(&self) -> Vec<usize> {
        self.lock().made_ready.clone()
    }

    pub(crate) fn called(&self) -> Vec<usize> {
        self.lock().called.clone()
    }

    pub(crate) fn held(&self) -> usize {
        self.lock().held
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// Lets everyone who waits go on.
    pub(crate) fn wake_all(&self) {
        self.lock().wake_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while it is locked")
    }
}

impl State {
    fn instance(&mut self) -> usize {
        self.instances += 1;
        self.instances - 1
    }

    fn permit(&mut self, ledger: &Ledger) -> Permit {
        self.held += 1;
        Permit(ledger.clone())
    }

    fn violate(&mut self, ledger: &Ledger, id: usize, what: &str) -> Permit {
        self.violations.push(format!("instance {id} {what}"));
        self.permit(ledger)
    }

    fn wait(&mut self, key: usize, cx: &Context<'_>) {
        self.waiting.retain(|(other, _)| *other != key);
        self.waiting.push((key, cx.waker().clone()));
    }

    fn wake_all(&mut self) {
        for (_, waker) in self.waiting.drain(..) {
            waker.wake();
        }
    }
}

/// A permit; see [`Ledger::held`].
struct Permit(Ledger);

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.held -= 1;
        state.wake_all();
    }
}

enum Readiness {
    No,
    Yes(Permit),
    Failed,
}

/// The service.
pub(crate) struct Probe {
    id: usize,
    ledger: Ledger,
    ready: Readiness,
    pauses: Option<usize>,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        self.ledger.probe()
    }
}

impl Service<Request<Body>> for Probe {
    type Response = Response<ResponseBody<ScriptedBody>>;
    type Error = ProxyError;
    type Future = ProbeFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        let mut state = self.ledger.lock();
        if let Some(kind) = state.unready {
            self.ready = Readiness::Failed;
            return Poll::Ready(Err(ProxyError::new(kind)));
        }
        if matches!(self.ready, Readiness::Yes(_)) {
            return Poll::Ready(Ok(()));
        }
        let pauses = self.pauses.get_or_insert(state.pauses);
        if *pauses > 0 || state.permits.is_some_and(|permits| state.held >= permits) {
            *pauses = pauses.saturating_sub(1);
            state.wait(self.id, cx);
            return Poll::Pending;
        }
        self.pauses = None;
        state.made_ready.push(self.id);
        self.ready = Readiness::Yes(state.permit(&self.ledger));
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> ProbeFuture {
        let ready = std::mem::replace(&mut self.ready, Readiness::No);
        let mut state = self.ledger.lock();
        state.called.push(self.id);
        let permit = match ready {
            Readiness::Yes(permit) => permit,
            Readiness::No => state.violate(&self.ledger, self.id, "was called without being ready"),
            Readiness::Failed => state.violate(&self.ledger, self.id, "was called after it failed"),
        };
        if let Some(caught) = &mut state.caught {
            caught.push(std::mem::take(request.body_mut()));
        }
        let answer = state.answers.pop_front();
        ProbeFuture {
            hints: state.hints.unwrap_or(Hints::Exact),
            call: usize::MAX - state.called.len(),
            pauses: state.pauses,
            ledger: self.ledger.clone(),
            answer: Some(answer.unwrap_or(Answer::Response(StatusCode::OK, Vec::new()))),
            permit: Some(permit),
            _request: request,
        }
    }
}

/// A call under way.
pub(crate) struct ProbeFuture {
    hints: Hints,
    call: usize,
    pauses: usize,
    ledger: Ledger,
    answer: Option<Answer>,
    permit: Option<Permit>,
    _request: Request<Body>,
}

impl Future for ProbeFuture {
    type Output = Result<Response<ResponseBody<ScriptedBody>>, ProxyError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.pauses > 0 {
            self.pauses -= 1;
            self.ledger.lock().wait(self.call, cx);
            return Poll::Pending;
        }
        let permit = self.permit.take();
        match self.answer.take() {
            Some(Answer::Failure(kind)) => Poll::Ready(Err(ProxyError::new(kind))),
            Some(Answer::Response(status, steps)) => {
                let body = ScriptedBody { permit, ..ScriptedBody::new(steps, self.hints) };
                let mut response = Response::new(ResponseBody::upstream(body));
                *response.status_mut() = status;
                Poll::Ready(Ok(response))
            }
            None => {
                let mut state = self.ledger.lock();
                state.violations.push("a call was polled after its end".to_owned());
                Poll::Pending
            }
        }
    }
}

/// What a body says of itself before it is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hints {
    /// The length, where that is known, and the end with the last frame.
    Exact,
    /// Nothing: the end is seen when it is polled for.
    None,
}

/// A body that does what it was told.
pub(crate) struct ScriptedBody {
    steps: VecDeque<Step>,
    hints: Hints,
    permit: Option<Permit>,
}

impl ScriptedBody {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>, hints: Hints) -> Self {
        Self { steps: steps.into_iter().collect(), hints, permit: None }
    }
}

impl http_body::Body for ScriptedBody {
    type Data = Bytes;
    type Error = ProxyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ProxyError>>> {
        Poll::Ready(match self.steps.pop_front() {
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Step::Failure) => {
                self.steps.clear();
                Some(Err(ProxyError::new(ErrorKind::ConnectionTerminated)))
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.hints == Hints::Exact && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.hints == Hints::None || self.steps.contains(&Step::Failure) {
            return SizeHint::default();
        }
        let length = |step: &Step| match step {
            Step::Data(data) => data.len() as u64,
            _ => 0,
        };
        SizeHint::with_exact(self.steps.iter().map(length).sum())
    }
}

/// A task that counts how often it was woken, to poll with.
#[derive(Default)]
pub(crate) struct Task(AtomicUsize);

impl Task {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn wakes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Polls in this task.
    pub(crate) fn poll<T>(
        self: &Arc<Self>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let waker = Waker::from(Arc::clone(self));
        poll(&mut Context::from_waker(&waker))
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
