use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{Response, StatusCode};
use pin_project_lite::pin_project;

use super::ResponseBody;
use super::layer::Switch;
use super::pump::pump;

pin_project! {
    /// The future of [`Upgrade`](super::Upgrade).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        switch: Option<Switch>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, switch: Option<Switch>) -> Self {
        Self { inner, switch }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: http_body::Body + Send + 'static,
    R::Data: Send,
    R::Error: Send,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let Some(switch) = this.switch.take() else {
            return Poll::Ready(Ok(response.map(ResponseBody::new)));
        };
        if !switch.asked.is_granted(response.status()) {
            return Poll::Ready(Ok(response.map(|body| ResponseBody::refused(body, switch.asked))));
        }
        let (mut parts, body) = response.into_parts();
        if switch.http2 {
            // RFC 8441 section 5: what HTTP/1 says with 101 is a 200 here. RFC 9113 section 8.2.2.
            parts.headers.remove(CONNECTION);
            parts.headers.remove(UPGRADE);
            if parts.status == StatusCode::SWITCHING_PROTOCOLS {
                parts.status = StatusCode::OK;
            }
        }
        // RFC 9110 section 9.3.6: a tunnel has no length.
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.remove(TRANSFER_ENCODING);
        let Some(client) = switch.client else {
            switch.source.open_prepared();
            let body = ResponseBody::tunnel(body, switch.source, switch.asked);
            return Poll::Ready(Ok(Response::from_parts(parts, body)));
        };
        tokio::spawn(pump(client, switch.source, switch.asked, switch.http2, body));
        Poll::Ready(Ok(Response::from_parts(parts, ResponseBody::switched())))
    }
}
