use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::ResponseBody;
use super::layer::Options;
use super::plan::Plan;
use super::tried::Tried;
use crate::body::Body;
use crate::error::ProxyError;

pin_project! {
    /// The future of [`Retry`](super::Retry).
    pub struct ResponseFuture<S>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        state: State<S, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F> {
        /// Nothing can make this request be tried again.
        Once { #[pin] future: F },
        /// Boxed, so that others don't carry its size about.
        Tried { tried: Pin<Box<Tried<S, F>>> },
    }
}

impl<S> ResponseFuture<S>
where
    S: Service<Request<Body>>,
{
    pub(super) fn once(future: S::Future) -> Self {
        Self { state: State::Once { future } }
    }

    pub(super) fn tried(
        service: S,
        request: Request<Body>,
        plan: Plan,
        options: Arc<Options>,
    ) -> Self {
        Self {
            state: State::Tried { tried: Box::pin(Tried::new(service, request, plan, options)) },
        }
    }
}

impl<S, R> Future for ResponseFuture<S>
where
    S: Service<Request<Body>, Response = Response<R>, Error = ProxyError>,
{
    type Output = Result<Response<ResponseBody<R>>, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Once { future } => {
                future.poll(cx).map_ok(|response| response.map(ResponseBody::new))
            }
            StateProj::Tried { tried } => tried.as_mut().poll(cx),
        }
    }
}

impl<S> fmt::Debug for ResponseFuture<S>
where
    S: Service<Request<Body>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Once { .. } => "Once",
            State::Tried { .. } => "Tried",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
