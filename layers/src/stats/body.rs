use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::service::ActiveStream;

pin_project! {
    /// A response body that keeps its request counted as active until its end.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        stream: Option<ActiveStream>,
    }
}

impl<B: Body> ResponseBody<B> {
    pub(super) fn new(inner: B, mut stream: Option<ActiveStream>) -> Self {
        // A body that is empty may never be polled: its end is now.
        if inner.is_end_stream()
            && let Some(mut stream) = stream.take()
        {
            stream.complete();
        }
        Self { inner, stream }
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
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let ended = match &frame {
            None => true,
            Some(Ok(frame)) => frame.is_trailers() || this.inner.is_end_stream(),
            Some(Err(_)) => {
                if let Some(stream) = this.stream {
                    stream.cut();
                }
                false
            }
        };
        if ended && let Some(mut stream) = this.stream.take() {
            stream.complete();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
