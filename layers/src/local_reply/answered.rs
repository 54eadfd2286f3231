use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use pin_project_lite::pin_project;

pin_project! {
    /// A call of the service inside, or the answer that a layer gives in its place.
    #[project = AnsweredProj]
    pub(crate) enum Answered<F, R> {
        Called { #[pin] future: F },
        Replied { reply: Option<Response<R>> },
    }
}

impl<F, R> Answered<F, R> {
    pub(crate) fn call(future: F) -> Self {
        Self::Called { future }
    }

    pub(crate) fn reply(reply: Response<R>) -> Self {
        Self::Replied { reply: Some(reply) }
    }
}

impl<F, R, E> Future for Answered<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AnsweredProj::Called { future } => future.poll(cx),
            AnsweredProj::Replied { reply } => match reply.take() {
                Some(reply) => Poll::Ready(Ok(reply)),
                None => Poll::Pending,
            },
        }
    }
}
