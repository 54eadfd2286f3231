use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::entry::Action;
use super::{ResponseFuture, RouteEntry, RouterStats};
use crate::body::{Body, ResponseBody};
use crate::cluster::ConnectTcp;
use crate::error::respond::local_reply;
use crate::error::{ErrorKind, ProxyError};
use crate::route::{Found, RequestView, RouteTable, redirect};
use crate::stats::Scope;
use crate::upgrade::{ActiveUpgrade, Asked};

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
        let (mut parts, body) = request.into_parts();
        let random = fastrand::u64(..);
        let view = RequestView::of(&parts, random);
        let found = self.table.find(&view);
        let mut connect_tcp = false;
        if let Some(asked) = parts.extensions.get::<Asked>() {
            match self.allows(asked, found.as_ref()) {
                Some(allowed) => connect_tcp = allowed.connect_tcp,
                // Not counted as a request of the router: Envoy refuses before it gets there.
                None => {
                    return ResponseFuture::failed(ProxyError::new(ErrorKind::UpgradeRefused));
                }
            }
        }
        self.stats.rq_total.increment(1);
        let (matching, entry) = match found {
            Some(Found::Route { matching, action, .. }) => (matching, action),
            Some(Found::RequireTls { .. }) => {
                self.stats.rq_redirect.increment(1);
                return ResponseFuture::reply(bodiless(redirect::tls_reply(&view)));
            }
            None => {
                self.stats.no_route.increment(1);
                return ResponseFuture::failed(ProxyError::new(ErrorKind::NoRoute));
            }
        };
        match &entry.action {
            Action::Forward { target, rewrite } => {
                if let Some(rewrite) = rewrite {
                    if let Err(error) = rewrite.apply(&matching.path, &mut parts) {
                        let error = ProxyError::new(ErrorKind::BadRequest).with_source(error);
                        return ResponseFuture::failed(error);
                    }
                }
                if connect_tcp {
                    parts.extensions.insert(ConnectTcp);
                }
                match target.pick(random) {
                    Ok(service) => {
                        ResponseFuture::forward(service.clone(), Request::from_parts(parts, body))
                    }
                    Err(status) => {
                        self.stats.no_cluster.increment(1);
                        let error = ProxyError::new(ErrorKind::ClusterNotFound(status));
                        ResponseFuture::failed(error)
                    }
                }
            }
            Action::Redirect(redirector) => {
                self.stats.rq_redirect.increment(1);
                ResponseFuture::reply(bodiless(redirector.reply(&matching.path, &view)))
            }
            Action::Direct(direct) => {
                self.stats.rq_direct_response.increment(1);
                ResponseFuture::reply(local_reply(direct.status, direct.body.clone()))
            }
        }
    }
}

/// A switch that is allowed.
struct Allowed {
    connect_tcp: bool,
}

impl<S> Router<S> {
    /// Whether protocols may be switched: the route's rule counts, else the one for all routes.
    /// Where there is no route there is nothing to refuse either.
    fn allows(&self, asked: &Asked, found: Option<&Found<'_, RouteEntry<S>>>) -> Option<Allowed> {
        let Some(found) = found else {
            return Some(Allowed { connect_tcp: false });
        };
        let rule = match found {
            Found::Route { action, .. } => action.upgrade_rule(asked),
            Found::RequireTls { .. } => None,
        };
        let stats = &self.stats;
        if !rule.map_or(asked.is_allowed(), |rule| rule.enabled) {
            stats.downstream_rq_ws_on_non_ws_route.increment(1);
            return None;
        }
        stats.downstream_cx_upgrades_total.increment(1);
        asked.keep(ActiveUpgrade::new(stats.downstream_cx_upgrades_active.clone()));
        Some(Allowed { connect_tcp: rule.is_some_and(|rule| rule.connect_tcp) })
    }
}

fn bodiless<R>(response: Response<()>) -> Response<ResponseBody<R>> {
    response.map(|()| ResponseBody::local(bytes::Bytes::new()))
}
