use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::edits::Edits;
use crate::body::{Body, ResponseBody};
use crate::error::{ErrorKind, ProxyError};

pin_project! {
    /// The future of [`Router`](super::Router).
    pub struct ResponseFuture<S>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        state: State<S, S::Future>,
        edits: Option<Edits>,
        envoy_headers: bool,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F> {
        /// Not ready yet. What is made ready here is what is called.
        Readying { service: S, request: Option<Box<Request<Body>>> },
        Called { #[pin] future: F },
        Failed { error: Option<ProxyError> },
        Replied { reply: Option<Response<ResponseBody<()>>> },
    }
}

impl<S> ResponseFuture<S>
where
    S: Service<Request<Body>, Error = ProxyError>,
{
    pub(super) fn forward(
        mut service: S,
        request: Request<Body>,
        edits: Option<Edits>,
        envoy_headers: bool,
    ) -> Self {
        let state = match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            // Mostly: then the request is on its way, and not kept here.
            Poll::Ready(Ok(())) => State::Called { future: service.call(request) },
            Poll::Ready(Err(error)) => {
                let error = finish(error, edits.as_ref(), envoy_headers);
                State::Failed { error: Some(error) }
            }
            Poll::Pending => State::Readying { service, request: Some(Box::new(request)) },
        };
        Self { state, edits, envoy_headers }
    }

    pub(crate) fn failed(error: ProxyError) -> Self {
        Self { state: State::Failed { error: Some(error) }, edits: None, envoy_headers: true }
    }

    pub(super) fn reply(reply: Response<ResponseBody<()>>) -> Self {
        Self { state: State::Replied { reply: Some(reply) }, edits: None, envoy_headers: true }
    }
}

impl<S, R> Future for ResponseFuture<S>
where
    S: Service<Request<Body>, Response = Response<R>, Error = ProxyError>,
{
    type Output = Result<Response<ResponseBody<R>>, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Readying { service, request } => {
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        let error = finish(error, this.edits.as_ref(), *this.envoy_headers);
                        return Poll::Ready(Err(error));
                    }
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    let future = service.call(*request);
                    this.state.set(State::Called { future });
                }
                StateProj::Called { future } => {
                    let edits = this.edits.as_ref();
                    return match future.poll(cx) {
                        Poll::Ready(Ok(mut response)) => {
                            if let Some(edits) = edits {
                                edits.upstream_response(&mut response);
                            }
                            Poll::Ready(Ok(response.map(ResponseBody::upstream)))
                        }
                        Poll::Ready(Err(error)) => {
                            Poll::Ready(Err(finish(error, edits, *this.envoy_headers)))
                        }
                        Poll::Pending => Poll::Pending,
                    };
                }
                StateProj::Failed { error } => {
                    let error = error.take();
                    return Poll::Ready(Err(
                        error.unwrap_or_else(|| ProxyError::new(ErrorKind::NoRoute))
                    ));
                }
                StateProj::Replied { reply } => {
                    let Some(reply) = reply.take() else {
                        return Poll::Pending;
                    };
                    return Poll::Ready(Ok(reply.map(ResponseBody::into_any)));
                }
            }
        }
    }
}

/// What a failed request gets of its route.
#[cold]
fn finish(error: ProxyError, edits: Option<&Edits>, envoy_headers: bool) -> ProxyError {
    let error = if envoy_headers { error } else { error.without_envoy_headers() };
    match edits {
        Some(edits) if error.kind().is_of_route() => edits.failure(error),
        _ => error,
    }
}

impl<S> fmt::Debug for ResponseFuture<S>
where
    S: Service<Request<Body>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
