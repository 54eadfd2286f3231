use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use tower_service::Service;

use super::{CorsPolicy, CorsStats, ResponseFuture};
use crate::error::respond::local_reply_with;
use crate::local_reply::LocalReply;

/// Tells browsers what pages of other origins may do; see the [module](super).
#[derive(Clone, Debug)]
pub struct Cors<S> {
    inner: S,
    policy: Arc<CorsPolicy>,
    stats: Arc<CorsStats>,
}

impl<S> Cors<S> {
    pub(super) fn new(inner: S, policy: Arc<CorsPolicy>, stats: Arc<CorsStats>) -> Self {
        Self { inner, policy, stats }
    }
}

/// What logs call the answer to a preflight.
const PREFLIGHT: LocalReply = LocalReply::new(StatusCode::OK, "").details("cors_response");

impl<S, B, R> Service<Request<B>> for Cors<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let headers = request.headers();
        let Some(origin) = headers.get(ORIGIN).filter(|origin| !origin.is_empty()) else {
            return ResponseFuture::call(self.inner.call(request), None);
        };
        let enabled = self.policy.enabled.draw();
        if !enabled && !self.policy.shadow.draw() {
            return ResponseFuture::call(self.inner.call(request), None);
        }
        let allowed = self.policy.allows(origin);
        let counter = if allowed { &self.stats.origin_valid } else { &self.stats.origin_invalid };
        counter.increment(1);
        if !enabled {
            return ResponseFuture::call(self.inner.call(request), None);
        }
        let origin = allowed.then(|| origin.clone());
        let is_preflight = *request.method() == Method::OPTIONS
            && headers.get(ACCESS_CONTROL_REQUEST_METHOD).is_some_and(|asked| !asked.is_empty());
        if is_preflight && (allowed || !self.policy.forwards_not_matching()) {
            PREFLIGHT.note(&request);
            let mut answer = self.policy.preflight(headers, origin.as_ref());
            if let Some(origin) = origin {
                self.policy.respond(origin, &mut answer);
            }
            let reply = local_reply_with(answer, StatusCode::OK, Bytes::new());
            return ResponseFuture::reply(reply);
        }
        let told = origin.map(|origin| (origin, Arc::clone(&self.policy)));
        ResponseFuture::call(self.inner.call(request), told)
    }
}
