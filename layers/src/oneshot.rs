//! A call that waits for its service to be ready.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Request;
use pin_project_lite::pin_project;
use tower_service::Service;

pin_project! {
    /// Makes a service ready, and then calls it.
    #[project = OneshotProj]
    pub(crate) enum Oneshot<S, F, B> {
        Readying { service: S, request: Option<Request<B>> },
        Called { #[pin] future: F },
    }
}

impl<S, B> Oneshot<S, S::Future, B>
where
    S: Service<Request<B>>,
{
    pub(crate) fn new(service: S, request: Request<B>) -> Self {
        Self::Readying { service, request: Some(request) }
    }
}

impl<S, B> Future for Oneshot<S, S::Future, B>
where
    S: Service<Request<B>>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let future = match self.as_mut().project() {
                OneshotProj::Called { future } => return future.poll(cx),
                OneshotProj::Readying { service, request } => {
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        return Poll::Ready(Err(error));
                    }
                    let Some(request) = request.take() else { return Poll::Pending };
                    service.call(request)
                }
            };
            self.set(Self::Called { future });
        }
    }
}
