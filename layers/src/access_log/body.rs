use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::record::Record;
use crate::error::ProxyError;

pin_project! {
    /// A response body whose end is logged.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        record: Option<Box<Record>>,
    }
}

impl<B: Body> ResponseBody<B> {
    pub(super) fn new(inner: B, record: Option<Box<Record>>) -> Self {
        // A body that is empty, or that is not sent, may never be polled: its end is now.
        let record = match record {
            Some(record) if record.is_bodiless() || inner.is_end_stream() => {
                record.finish();
                None
            }
            other => other,
        };
        Self { inner, record }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body,
    B::Error: 'static,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let polled = ready!(this.inner.as_mut().poll_frame(cx));
        if let Some(record) = this.record {
            let ended = match &polled {
                None => true,
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        record.sent(data.remaining());
                    } else if let Some(trailers) = frame.trailers_ref() {
                        record.trailers(trailers);
                    }
                    frame.is_trailers() || this.inner.is_end_stream()
                }
                Some(Err(error)) => {
                    let error: &dyn Any = error;
                    record.cut(error.downcast_ref::<ProxyError>());
                    false
                }
            };
            if ended && let Some(record) = this.record.take() {
                record.finish();
            }
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
