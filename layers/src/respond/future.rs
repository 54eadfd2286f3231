use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use pin_project_lite::pin_project;

use super::RequestKind;
use crate::body::{RequestProgress, ResponseBody};
use crate::error::respond::{grpc_response, response};
use crate::error::{ErrorKind, ProxyError};
use crate::format::TimePoint;
use crate::response_flags::ResponseFlags;
use crate::stream_info::StreamInfo;

pin_project! {
    /// The future of [`Respond`](super::Respond).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        answer: Answer<F>,
        progress: Option<Arc<RequestProgress>>,
        kind: RequestKind,
        info: Option<Arc<StreamInfo>>,
    }
}

pin_project! {
    /// Where the answer comes from.
    #[project = AnswerProj]
    #[derive(Debug)]
    pub(super) enum Answer<F> {
        Called { #[pin] future: F },
        /// The inner service failed before it could be called.
        Unready { error: Option<Box<ProxyError>> },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(
        answer: Answer<F>,
        progress: Option<Arc<RequestProgress>>,
        kind: RequestKind,
        info: Option<Arc<StreamInfo>>,
    ) -> Self {
        Self { answer, progress, kind, info }
    }
}

impl<F, R> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody<R>>, ProxyError>>,
{
    type Output = Result<Response<ResponseBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = match this.answer.project() {
            AnswerProj::Called { future } => future.poll(cx),
            AnswerProj::Unready { error } => match error.take() {
                Some(error) => Poll::Ready(Err(*error)),
                None => return Poll::Pending,
            },
        };
        match polled {
            Poll::Ready(Ok(mut response)) => {
                if let Some(info) = this.info {
                    note(info, &response);
                }
                // A failure that was answered further in.
                let failed = response.extensions().get::<ErrorKind>();
                let close = failed.is_some_and(|kind| this.kind.ends(*kind));
                settle(&mut response, *this.kind, this.progress.take(), close);
                Poll::Ready(Ok(response))
            }
            Poll::Ready(Err(error)) => {
                if let Some(info) = this.info {
                    info.fail(&error);
                }
                let mut response = answer(&error, *this.kind);
                let close = this.kind.ends(error.kind());
                settle(&mut response, *this.kind, this.progress.take(), close);
                Poll::Ready(Ok(response))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Makes the response to a failure.
#[cold]
fn answer<R>(error: &ProxyError, kind: RequestKind) -> Response<ResponseBody<R>> {
    tracing::debug!(error = error as &dyn std::error::Error, "request failed");
    let mut reply = if kind.grpc { grpc_response(error) } else { response(error) };
    // What the log and the counters make of it.
    reply.extensions_mut().insert(error.kind());
    if !error.flags().is_empty() {
        reply.extensions_mut().insert(error.flags());
    }
    reply
}

/// What every response gets, whoever made it. `close` says that it is the connection's last.
#[inline]
fn settle<R>(
    response: &mut Response<ResponseBody<R>>,
    kind: RequestKind,
    progress: Option<Arc<RequestProgress>>,
    mut close: bool,
) {
    if kind.head && response.body().is_local() {
        // The headers are those of a GET; a body that nobody sends would never end.
        *response.body_mut() = ResponseBody::local(Bytes::new());
    }
    if !kind.http1 && response.body().is_local() {
        // It is HTTP/1 that has to say so; over HTTP/2 the stream has ended with the head.
        let headers = response.headers_mut();
        if headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0") {
            headers.remove(header::CONTENT_LENGTH);
        }
    }
    let unread = progress.filter(|progress| progress.completed_at().is_none());
    // A layer that answers may not have looked for the end of the request.
    let unread = unread.or_else(|| unread_by_layer(response));
    if let Some(progress) = unread {
        // What is left of the request, now that it is answered, is in the way of the next one.
        // There is no next one to a tunnel, nor to a 101 that nobody asked for.
        let status = response.status();
        let last = status != StatusCode::SWITCHING_PROTOCOLS && !progress.is_granted(status);
        close |= kind.http1 && last;
        // Whether it will have been complete when the response ends is for the stats to see.
        response.extensions_mut().insert(progress);
    }
    if close {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
}

fn unread_by_layer<R>(response: &Response<ResponseBody<R>>) -> Option<Arc<RequestProgress>> {
    if !response.body().is_local() {
        return None;
    }
    response.extensions().get::<Arc<RequestProgress>>().map(Arc::clone)
}

/// Takes down where a response comes from, and why it is the last one of several tries.
fn note<R>(info: &StreamInfo, response: &Response<ResponseBody<R>>) {
    if let Some(flags) = response.extensions().get::<ResponseFlags>() {
        info.add_flags(*flags);
    }
    if response.body().is_local() {
        info.set_details("direct_response");
    } else {
        info.mark(TimePoint::UpstreamReceiveBegin);
        info.set_details("via_upstream");
    }
}
