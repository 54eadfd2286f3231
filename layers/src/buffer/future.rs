use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::Buffer;
use super::whole::Whole;
use crate::body::{Body, RequestProgress};
use crate::local_reply::LocalReply;

const TOO_LARGE: LocalReply = LocalReply::new(StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large")
    .details("request_payload_too_large");

/// The rest will not come: nobody is there to read this.
const BROKEN: LocalReply = LocalReply::new(StatusCode::BAD_REQUEST, "").details("bad_request");

pin_project! {
    /// The future of [`Buffer`].
    pub struct ResponseFuture<S, F> {
        #[pin]
        state: State<S, F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F> {
        Reading { reading: Option<Reading<S>> },
        Called { #[pin] future: F },
    }
}

struct Reading<S> {
    service: Buffer<S>,
    request: Request<Body>,
    whole: Whole,
}

impl<S, F> ResponseFuture<S, F> {
    pub(super) fn call(future: F) -> Self {
        Self { state: State::Called { future } }
    }

    pub(super) fn read(service: Buffer<S>, request: Request<Body>) -> Self {
        let reading = Reading { service, request, whole: Whole::default() };
        Self { state: State::Reading { reading: Some(reading) } }
    }
}

impl<S, R> Future for ResponseFuture<S, S::Future>
where
    S: Service<Request<Body>, Response = Response<R>>,
    R: From<Bytes>,
{
    type Output = Result<Response<R>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Reading { reading } => {
                    let end = match reading {
                        Some(reading) => ready!(reading.poll(cx)),
                        None => return Poll::Pending,
                    };
                    let Some(reading) = reading.take() else { return Poll::Pending };
                    match end {
                        End::Complete => {
                            let (mut service, request) = reading.complete();
                            this.state.set(State::Called { future: service.call(request) });
                        }
                        End::TooLarge => return Poll::Ready(Ok(reading.refuse())),
                        End::Broken => return Poll::Ready(Ok(BROKEN.respond(&reading.request))),
                    }
                }
                StateProj::Called { future } => return future.poll(cx),
            }
        }
    }
}

enum End {
    Complete,
    TooLarge,
    Broken,
}

impl<S> Reading<S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            match ready!(Pin::new(self.request.body_mut()).poll_frame(cx)) {
                None => return Poll::Ready(End::Complete),
                Some(Err(_)) => return Poll::Ready(End::Broken),
                Some(Ok(frame)) => self.whole.push(frame),
            }
            if self.whole.bytes() > self.service.max_bytes() {
                return Poll::Ready(End::TooLarge);
            }
        }
    }

    fn complete(self) -> (S, Request<Body>) {
        let Self { service, mut request, whole } = self;
        let length = HeaderValue::from(whole.bytes());
        *request.body_mut() = Body::new(whole);
        let headers = request.headers_mut();
        headers.remove(TRANSFER_ENCODING);
        headers.entry(CONTENT_LENGTH).or_insert(length);
        (service.into_inner(), request)
    }

    fn refuse<R: From<Bytes>>(self) -> Response<R> {
        self.service.count_too_large();
        let mut response = TOO_LARGE.respond(&self.request);
        // Even if what was too much is also the end: it was not looked for.
        response.extensions_mut().insert(Arc::new(RequestProgress::default()));
        response
    }
}

impl<S, F> fmt::Debug for ResponseFuture<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
