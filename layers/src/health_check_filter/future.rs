use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;

use super::HealthChecked;
use super::layer::Rules;
use super::verdict::Verdict;
use crate::local_reply::LocalReply;
use crate::response_flags::ResponseFlag;

const CLUSTER: HeaderName = HeaderName::from_static("x-envoy-upstream-healthchecked-cluster");
const FAIL: HeaderName = HeaderName::from_static("x-envoy-immediate-health-check-fail");
const DEGRADED: HeaderName = HeaderName::from_static("x-envoy-degraded");

pin_project! {
    /// The future of [`HealthCheck`](super::HealthCheck).
    pub struct ResponseFuture<F, B> {
        #[pin]
        state: State<F, B>,
        is_check: bool,
        rules: Arc<Rules>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        /// What comes is not looked at, but the answer waits for its end.
        Draining { #[pin] body: B, head: Option<Request<()>>, verdict: Verdict },
        Called { #[pin] future: F },
    }
}

impl<F, B> ResponseFuture<F, B> {
    pub(super) fn call(future: F, is_check: bool, rules: Arc<Rules>) -> Self {
        Self { state: State::Called { future }, is_check, rules }
    }

    pub(super) fn answer(request: Request<B>, verdict: Verdict, rules: Arc<Rules>) -> Self {
        let (parts, body) = request.into_parts();
        let head = Some(Request::from_parts(parts, ()));
        Self { state: State::Draining { body, head, verdict }, is_check: true, rules }
    }
}

impl<F, B, R, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<R>, E>>,
    B: Body,
    R: From<Bytes>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let rules = this.rules;
        let mut response = match this.state.project() {
            StateProj::Draining { mut body, head, verdict } => {
                while !body.is_end_stream()
                    && let Some(Ok(_)) = ready!(body.as_mut().poll_frame(cx))
                {}
                let Some(head) = head.take() else { return Poll::Pending };
                rules.count(*verdict);
                answer(&head, *verdict)
            }
            StateProj::Called { future } => {
                let response = ready!(future.poll(cx))?;
                if let Some(cache) = rules.cache.as_ref().filter(|_| *this.is_check) {
                    let degraded = response.headers().contains_key(DEGRADED);
                    cache.set(response.status(), degraded);
                }
                response
            }
        };
        if *this.is_check {
            response.headers_mut().insert(CLUSTER, rules.service_cluster.clone());
            response.extensions_mut().insert(HealthChecked);
        }
        if rules.is_failing() {
            response.headers_mut().insert(FAIL, HeaderValue::from_static("true"));
        }
        Poll::Ready(Ok(response))
    }
}

fn answer<R: From<Bytes>>(head: &Request<()>, verdict: Verdict) -> Response<R> {
    let mut reply = LocalReply::new(verdict.status, "").details(verdict.details);
    if !verdict.is_ok() {
        reply = reply.flag(ResponseFlag::FailedLocalHealthCheck);
    }
    reply.respond_with(head, |headers: &mut HeaderMap| {
        if verdict.degraded {
            headers.insert(DEGRADED, HeaderValue::from_static(""));
        }
    })
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
