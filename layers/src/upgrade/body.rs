use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{Asked, Source};

pin_project! {
    /// A response body. That of a switch has moved into the tunnel: what is left is empty. Over
    /// HTTP/2 it is the tunnel.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: Option<B>,
        asked: Option<Asked>,
        tunnel: Option<Arc<Source>>,
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B) -> Self {
        Self { inner: Some(inner), asked: None, tunnel: None }
    }

    pub(super) fn refused(inner: B, asked: Asked) -> Self {
        Self { inner: Some(inner), asked: Some(asked), tunnel: None }
    }

    pub(super) fn switched() -> Self {
        Self { inner: None, asked: None, tunnel: None }
    }

    /// What goes to a client that sends from `source`.
    pub(super) fn tunnel(inner: B, source: Arc<Source>, asked: Asked) -> Self {
        Self { inner: Some(inner), asked: Some(asked), tunnel: Some(source) }
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
        let Some(source) = this.tunnel else {
            return inner.poll_frame(cx);
        };
        // The end of one side is that of the tunnel, and none of them is an error to the client.
        let ended = source.poll_closed(cx).is_ready();
        let polled = if ended { Poll::Ready(None) } else { inner.poll_frame(cx) };
        if let Poll::Ready(None | Some(Err(_))) = &polled {
            this.inner.set(None);
            *this.asked = None;
            return Poll::Ready(None);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
