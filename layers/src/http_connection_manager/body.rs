use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;

use super::chain::ManagedBody;
use crate::body::hints_of_inner;
use crate::clock::Turn;
use crate::error::ProxyError;

pin_project! {
    /// The body of what a [`ConnectionService`](super::ConnectionService) answers. It streams from
    /// the upstream, whose connection is free again when it has ended.
    #[derive(Debug)]
    pub struct ResponseBody {
        #[pin]
        inner: ManagedBody,
    }
}

impl ResponseBody {
    pub(super) fn new(inner: ManagedBody) -> Self {
        Self { inner }
    }
}

impl From<Bytes> for ResponseBody {
    /// The body of an answer that a layer around the service gives.
    fn from(bytes: Bytes) -> Self {
        Self { inner: bytes.into() }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ProxyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ProxyError>>> {
        let _turn = Turn::begin();
        self.project().inner.poll_frame(cx)
    }

    hints_of_inner!();
}
