use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::NextFuture;
use crate::body::{Body, ResponseBody};
use crate::error::ProxyError;
use crate::router;

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
        Filtered { future: NextFuture<R> },
    }
}

impl<S, R> ResponseFuture<S, R>
where
    S: Service<Request<Body>>,
{
    pub(super) fn routed(future: router::ResponseFuture<S>) -> Self {
        Self { kind: Kind::Routed { future } }
    }

    pub(super) fn filtered(future: NextFuture<R>) -> Self {
        Self { kind: Kind::Filtered { future } }
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
            KindProj::Filtered { future } => future.as_mut().poll(cx),
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
