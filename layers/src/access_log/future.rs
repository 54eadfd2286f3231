use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::ResponseBody;
use super::record::Record;

pin_project! {
    /// The future of [`AccessLog`](super::AccessLog).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        record: Option<Box<Record>>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, record: Option<Box<Record>>) -> Self {
        Self { inner, record }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
    R::Error: 'static,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.inner.poll(cx) {
            Poll::Ready(Ok(response)) => {
                let mut record = this.record.take();
                if let Some(record) = &mut record {
                    record.respond(&response);
                }
                // A body that is not sent may never be polled: its end is now.
                if let Some(record) = record.take_if(|record| record.is_bodiless()) {
                    record.finish();
                }
                Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, record))))
            }
            Poll::Ready(Err(error)) => {
                if let Some(record) = this.record.take() {
                    record.abandon();
                }
                Poll::Ready(Err(error))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
