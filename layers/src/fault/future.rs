use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::{ActiveFault, Fault, ResponseBody};
use crate::local_reply::Answered;
use crate::timer::Timer;

pin_project! {
    /// The future of [`Fault`].
    pub struct ResponseFuture<S, F, B, R> {
        #[pin]
        state: State<S, F, B, R>,
        fault: Option<ActiveFault>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B, R> {
        Delayed { waiting: Option<Waiting<S, B>> },
        Answered { #[pin] answered: Answered<F, R> },
    }
}

struct Waiting<S, B> {
    service: Fault<S>,
    request: Request<B>,
    until: Instant,
    timer: Timer,
}

impl<S, F, B, R> ResponseFuture<S, F, B, R> {
    pub(super) fn call(future: F, fault: Option<ActiveFault>) -> Self {
        Self { state: State::Answered { answered: Answered::call(future) }, fault }
    }

    pub(super) fn reply(reply: Response<R>, fault: Option<ActiveFault>) -> Self {
        Self { state: State::Answered { answered: Answered::reply(reply) }, fault }
    }

    pub(super) fn delay(
        service: Fault<S>,
        request: Request<B>,
        until: Instant,
        fault: ActiveFault,
    ) -> Self {
        let waiting = Waiting { service, request, until, timer: Timer::new() };
        Self { state: State::Delayed { waiting: Some(waiting) }, fault: Some(fault) }
    }
}

impl<S, B, R> Future for ResponseFuture<S, S::Future, B, R>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    R: Body + From<Bytes>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let response = loop {
            match this.state.as_mut().project() {
                StateProj::Delayed { waiting } => {
                    if let Some(waiting) = waiting {
                        ready!(waiting.timer.poll(cx, waiting.until));
                    }
                    let Some(Waiting { service, request, .. }) = waiting.take() else {
                        return Poll::Pending;
                    };
                    let answered = match service.abort(&request, this.fault) {
                        Some(reply) => Answered::reply(reply),
                        None => Answered::call(service.into_inner().call(request)),
                    };
                    this.state.set(State::Answered { answered });
                }
                StateProj::Answered { answered } => break ready!(answered.poll(cx))?,
            }
        };
        let fault = this.fault.take();
        Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, fault))))
    }
}

impl<S, F, B, R> fmt::Debug for ResponseFuture<S, F, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
