use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use pin_project_lite::pin_project;

use super::ResponseBody;
use super::service::ActiveStream;

pin_project! {
    /// The future of [`Stats`](super::Stats).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        stream: Option<ActiveStream>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, stream: ActiveStream) -> Self {
        Self { inner, stream: Some(stream) }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: http_body::Body,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.inner.poll(cx).map_ok(|response| {
            let mut stream = this.stream.take();
            if let Some(stream) = &mut stream {
                stream.respond(&response);
            }
            response.map(|body| ResponseBody::new(body, stream))
        })
    }
}
