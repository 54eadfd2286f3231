use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{Asked, Source};

pin_project! {
    /// A response body. That of a switch has moved into the tunnel, and what is left is
    /// empty; over `h2` it is the tunnel's way to the client itself.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: Option<B>,
        // Kept until the end: what is counted as active is so until then.
        asked: Option<Asked>,
        source: Option<Arc<Source>>,
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B) -> Self {
        Self { inner: Some(inner), asked: None, source: None }
    }

    pub(super) fn refused(inner: B, asked: Asked) -> Self {
        Self { inner: Some(inner), asked: Some(asked), source: None }
    }

    pub(super) fn tunnel(inner: B, source: Arc<Source>, asked: Asked) -> Self {
        Self { inner: Some(inner), asked: Some(asked), source: Some(source) }
    }

    pub(super) fn switched() -> Self {
        Self { inner: None, asked: None, source: None }
    }
}

impl<B: From<Bytes>> From<Bytes> for ResponseBody<B> {
    /// Nothing is switched by a body that was made here.
    fn from(bytes: Bytes) -> Self {
        Self::new(bytes.into())
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let Some(source) = this.source else {
            return inner.poll_frame(cx);
        };
        let client_left = source.poll_closed(cx).is_ready();
        match if client_left { Poll::Ready(None) } else { inner.poll_frame(cx) } {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame))),
            Poll::Pending => Poll::Pending,
            // The end of a tunnel, whoever's it is, is the end of an HTTP/2 stream.
            Poll::Ready(None | Some(Err(_))) => {
                this.inner.set(None);
                *this.asked = None;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
