use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use pin_project_lite::pin_project;

use super::ResponseBody;
use super::chain::ManagedFuture;
use crate::clock::Turn;

pin_project! {
    /// The future of [`ConnectionService`](super::ConnectionService).
    pub struct ResponseFuture {
        #[pin]
        inner: ManagedFuture,
    }
}

impl ResponseFuture {
    pub(super) fn new(inner: ManagedFuture) -> Self {
        Self { inner }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let _turn = Turn::begin();
        let polled = self.project().inner.poll(cx);
        polled.map_ok(|response| response.map(ResponseBody::new))
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
