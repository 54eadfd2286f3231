use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::NextFuture;
use crate::body::{Body, ResponseBody};
use crate::error::ProxyError;
use crate::router::{self, RouteEdits};

pin_project! {
    /// The future of [`Filtered`](super::Filtered).
    pub struct ResponseFuture<S, R>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        kind: Kind<S, R>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<S, R>
    where
        S: Service<Request<Body>>,
    {
        /// There is nothing before the router.
        Routed { #[pin] future: router::ResponseFuture<S> },
        Filtered { future: NextFuture<R>, edits: Option<RouteEdits> },
    }
}

impl<S, R> ResponseFuture<S, R>
where
    S: Service<Request<Body>>,
{
    pub(super) fn routed(future: router::ResponseFuture<S>) -> Self {
        Self { kind: Kind::Routed { future } }
    }

    pub(super) fn filtered(future: NextFuture<R>, edits: Option<RouteEdits>) -> Self {
        Self { kind: Kind::Filtered { future, edits } }
    }
}

impl<S, R> Future for ResponseFuture<S, R>
where
    S: Service<Request<Body>, Response = Response<R>, Error = ProxyError>,
{
    type Output = Result<Response<ResponseBody<R>>, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProj::Routed { future } => future.poll(cx),
            KindProj::Filtered { future, edits } => {
                // What the router fails is a response by now: it is time that ran out.
                let result = ready!(future.as_mut().poll(cx));
                Poll::Ready(result.map_err(|error| match edits {
                    Some(edits) => edits.failure(error),
                    None => error,
                }))
            }
        }
    }
}

impl<S, R> fmt::Debug for ResponseFuture<S, R>
where
    S: Service<Request<Body>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
