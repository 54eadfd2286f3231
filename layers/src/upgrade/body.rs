use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::Asked;

pin_project! {
    /// A response body. That of a switch has moved into the tunnel: what is left is empty.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: Option<B>,
        refused: Option<Asked>,
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B) -> Self {
        Self { inner: Some(inner), refused: None }
    }

    pub(super) fn refused(inner: B, asked: Asked) -> Self {
        Self { inner: Some(inner), refused: Some(asked) }
    }

    pub(super) fn switched() -> Self {
        Self { inner: None, refused: None }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().inner.as_pin_mut() {
            Some(inner) => inner.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
