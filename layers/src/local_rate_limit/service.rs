use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tower_service::Service;

use super::ResponseFuture;
use super::layer::Limit;
use crate::stream_info::{RequestHead, StreamInfo};

/// Refuses requests that come too fast; see the [module](super).
#[derive(Clone, Debug)]
pub struct LocalRateLimit<S> {
    inner: S,
    limit: Arc<Limit>,
}

impl<S> LocalRateLimit<S> {
    pub(super) fn new(inner: S, limit: Arc<Limit>) -> Self {
        Self { inner, limit }
    }
}

impl<S, B, R> Service<Request<B>> for LocalRateLimit<S>
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Limit { bucket, settings, reply, stats } = &*self.limit;
        if !settings.enabled.draw() {
            return ResponseFuture::call(self.inner.call(request), None);
        }
        stats.enabled.increment(1);
        let told = bucket.clone().filter(|_| settings.x_ratelimit_headers);
        if bucket.as_ref().is_none_or(|bucket| bucket.take()) {
            stats.ok.increment(1);
            return ResponseFuture::call(self.inner.call(request), told);
        }
        stats.rate_limited.increment(1);
        let info = self.limit.context(&request);
        if settings.enforced.draw() {
            stats.enforced.increment(1);
            let edit = |headers: &mut HeaderMap| match &info {
                Some(info) => settings.headers.edit_response(headers, &**info),
                None => settings.headers.edit_response(headers, &()),
            };
            let reply = reply.respond_with(&request, edit);
            return ResponseFuture::reply(reply, told);
        }
        match &info {
            Some(info) => settings.headers.edit_request(request.headers_mut(), &**info),
            None => settings.headers.edit_request(request.headers_mut(), &()),
        }
        ResponseFuture::call(self.inner.call(request), told)
    }
}

impl Limit {
    /// What the values of headers are made of, where they are made of anything.
    fn context<B>(&self, request: &Request<B>) -> Option<Arc<StreamInfo>> {
        if !self.settings.headers.reads_context() {
            return None;
        }
        Some(match StreamInfo::of(request.extensions()) {
            Some(info) => Arc::clone(info),
            None => {
                let info = StreamInfo::new(Arc::default(), request.version());
                info.set_request(RequestHead::of(request));
                Arc::new(info)
            }
        })
    }
}
