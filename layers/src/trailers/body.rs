use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{CONTENT_LENGTH, HeaderMap};
use http_body::{Body, Frame};
use pin_project_lite::pin_project;

use super::TrailerSlot;
use super::measured::Measured;
use crate::body::hints_of_inner;

pin_project! {
    /// A body for hyper's HTTP/1, which gets its data only; its trailers are left in a
    /// [`TrailerSlot`], or dropped where there is none.
    ///
    /// hyper drops a body with the last byte of the length that its head announces. Where the end
    /// comes later, as it may over HTTP/2, the body inside is read on to it.
    #[derive(Debug)]
    pub struct TrailerBody<B> {
        #[pin]
        inner: Measured<B>,
        slot: Option<Arc<TrailerSlot>>,
    }
}

impl<B> TrailerBody<B>
where
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
{
    /// The body of a message with these headers. Trailers need chunks: where the length is known
    /// they are dropped, with or without a slot.
    pub fn new(inner: B, headers: &HeaderMap, slot: Option<&Arc<TrailerSlot>>) -> Self {
        let chunked =
            |_: &&Arc<TrailerSlot>| !headers.contains_key(CONTENT_LENGTH) && is_open(&inner);
        let slot = slot.filter(chunked).map(Arc::clone);
        Self { inner: Measured::new(inner, headers, false), slot }
    }

    /// A body that hyper does not write, whatever the headers say: the answer to a `HEAD`, and that
    /// of a status that has none.
    pub fn unwritten(inner: B) -> Self {
        Self { inner: Measured::new(inner, &HeaderMap::new(), true), slot: None }
    }

    /// A body whose trailers are dropped.
    pub fn without(inner: B) -> Self {
        Self { inner: Measured::new(inner, &HeaderMap::new(), false), slot: None }
    }
}

impl<B: Default> TrailerBody<B> {
    /// The body inside.
    pub fn into_inner(self) -> B {
        self.inner.into_inner().unwrap_or_default()
    }
}

/// Whether hyper writes it in chunks if the headers do not say otherwise.
fn is_open<B: Body>(body: &B) -> bool {
    !body.is_end_stream() && body.size_hint().exact().is_none()
}

impl<B: Body + Unpin> Body for TrailerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = match ready!(this.inner.poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        match frame.into_trailers() {
            Err(data) => Poll::Ready(Some(Ok(data))),
            // The last frame: hyper writes the last chunk when it gets none.
            Ok(trailers) => {
                if let Some(slot) = this.slot {
                    slot.leave(trailers);
                }
                Poll::Ready(None)
            }
        }
    }

    hints_of_inner!();
}
