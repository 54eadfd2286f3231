use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use super::{ActiveFault, FaultSettings, FaultStats, ResponseBody, ResponseFuture};
use crate::response_flags::ResponseFlag;
use crate::route::RequestView;
use crate::stream_info::StreamInfo;

/// Lets requests meet faults; see the [module](super).
#[derive(Clone, Debug)]
pub struct Fault<S> {
    inner: S,
    settings: Arc<FaultSettings>,
    stats: Arc<FaultStats>,
}

impl<S> Fault<S> {
    pub(super) fn new(inner: S, settings: Arc<FaultSettings>, stats: Arc<FaultStats>) -> Self {
        Self { inner, settings, stats }
    }

    fn concerns<B>(&self, request: &Request<B>) -> bool {
        let headers = &self.settings.headers;
        if !self.settings.is_of_node(request.headers()) {
            return false;
        }
        let view = RequestView::new(request.method(), request.uri(), request.headers(), 0);
        headers.iter().all(|header| header.matches(&view))
    }

    /// The delay of a request.
    fn delay<B>(&self, request: &Request<B>) -> Option<(Instant, ActiveFault)> {
        let time = self.settings.draw_delay(request.headers())?;
        let fault = self.stats.begin(self.settings.most_active())?;
        self.stats.delays_injected.increment(1);
        if let Some(info) = StreamInfo::of(request.extensions()) {
            info.flag(ResponseFlag::DelayInjected);
        }
        let now = Instant::now();
        // A time that can't be told is as good as any that nobody will live to see.
        let until = now.checked_add(time).unwrap_or_else(|| now + FOR_EVER);
        Some((until, fault))
    }

    /// The answer to a request, if it is not to be the service's.
    pub(super) fn abort<B, R: From<Bytes>>(
        &self,
        request: &Request<B>,
        fault: &mut Option<ActiveFault>,
    ) -> Option<Response<R>> {
        let reply = self.settings.draw_abort(request.headers())?;
        if fault.is_none() {
            *fault = Some(self.stats.begin(self.settings.most_active())?);
        }
        self.stats.aborts_injected.increment(1);
        Some(reply.respond(request))
    }
}

/// Thirty years.
const FOR_EVER: std::time::Duration = std::time::Duration::from_secs(60 * 60 * 24 * 365 * 30);

impl<S, B, R> Service<Request<B>> for Fault<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    R: Body + From<Bytes>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, S::Future, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !self.concerns(&request) {
            return ResponseFuture::call(self.inner.call(request), None);
        }
        if let Some((until, fault)) = self.delay(&request) {
            // The one that is ready waits with the request; the next one is to be made ready anew.
            let next = self.clone();
            let ready = std::mem::replace(self, next);
            return ResponseFuture::delay(ready, request, until, fault);
        }
        let mut fault = None;
        match self.abort(&request, &mut fault) {
            Some(reply) => ResponseFuture::reply(reply, fault),
            None => ResponseFuture::call(self.inner.call(request), None),
        }
    }
}

impl<S> Fault<S> {
    pub(super) fn into_inner(self) -> S {
        self.inner
    }
}
