use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response};
use tower_service::Service;

use super::entry::Action;
use super::{ResponseFuture, RouteEntry, RouterStats};
use crate::body::{Body, ResponseBody};
use crate::error::respond::local_reply;
use crate::error::{ErrorKind, ProxyError};
use crate::route::{Found, RequestView, RouteTable, redirect};
use crate::stats::Scope;
use crate::stream_info::{RequestHead, StreamInfo};

/// Routes requests; see the [module](super).
#[derive(Debug)]
pub struct Router<S> {
    table: Arc<RouteTable<RouteEntry<S>>>,
    stats: Arc<RouterStats>,
}

impl<S> Router<S> {
    /// By this table, counting nothing.
    pub fn new(table: Arc<RouteTable<RouteEntry<S>>>) -> Self {
        Self { table, stats: Arc::new(RouterStats::new(&Scope::noop())) }
    }

    /// Counts into these.
    #[must_use]
    pub fn stats(mut self, stats: Arc<RouterStats>) -> Self {
        self.stats = stats;
        self
    }
}

impl<S> Clone for Router<S> {
    fn clone(&self) -> Self {
        Self { table: Arc::clone(&self.table), stats: Arc::clone(&self.stats) }
    }
}

impl<S, R> Service<Request<Body>> for Router<S>
where
    S: Service<Request<Body>, Response = Response<R>, Error = ProxyError> + Clone,
{
    type Response = Response<ResponseBody<R>>;
    type Error = ProxyError;
    type Future = ResponseFuture<S>;

    /// Always ready: which service must be ready is not known before the request is. Its clone
    /// is made ready in the future and is the one that is called.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.stats.rq_total.increment(1);
        let (mut parts, body) = request.into_parts();
        let random = fastrand::u64(..);
        let view = RequestView::of(&parts, random);
        let (matching, entry) = match self.table.find(&view) {
            Some(Found::Route { matching, action, .. }) => (matching, action),
            Some(Found::RequireTls { .. }) => {
                self.stats.rq_redirect.increment(1);
                note_answered(&parts);
                return ResponseFuture::reply(bodiless(redirect::tls_reply(&view)));
            }
            None => {
                self.stats.no_route.increment(1);
                note_answered(&parts);
                return ResponseFuture::failed(ProxyError::new(ErrorKind::NoRoute));
            }
        };
        if let Some(info) = StreamInfo::of(&parts.extensions) {
            if let Some(name) = &entry.name {
                info.set_route(Arc::clone(name));
            }
        }
        match &entry.action {
            Action::Forward { target, rewrite } => {
                if let Some(rewrite) = rewrite {
                    if let Err(error) = rewrite.apply(&matching.path, &mut parts) {
                        note_answered(&parts);
                        let error = ProxyError::new(ErrorKind::BadRequest).with_source(error);
                        return ResponseFuture::failed(error);
                    }
                }
                match target.pick(random) {
                    Ok(service) => {
                        ResponseFuture::forward(service.clone(), Request::from_parts(parts, body))
                    }
                    Err(status) => {
                        self.stats.no_cluster.increment(1);
                        note_answered(&parts);
                        let error = ProxyError::new(ErrorKind::ClusterNotFound(status));
                        ResponseFuture::failed(error)
                    }
                }
            }
            Action::Redirect(redirector) => {
                self.stats.rq_redirect.increment(1);
                note_answered(&parts);
                ResponseFuture::reply(bodiless(redirector.reply(&matching.path, &view)))
            }
            Action::Direct(direct) => {
                self.stats.rq_direct_response.increment(1);
                note_answered(&parts);
                ResponseFuture::reply(local_reply(direct.status, direct.body.clone()))
            }
        }
    }
}

/// Takes down a request that is answered here. One that goes upstream is taken down as it goes.
#[inline]
fn note_answered(parts: &Parts) {
    if let Some(info) = StreamInfo::of(&parts.extensions) {
        info.set_request(RequestHead::of_parts(parts));
    }
}

fn bodiless<R>(response: Response<()>) -> Response<ResponseBody<R>> {
    response.map(|()| ResponseBody::local(bytes::Bytes::new()))
}
