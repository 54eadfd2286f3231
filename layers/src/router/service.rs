use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use tower_service::Service;

use super::edits::{Edits, RouteEdits};
use super::entry::{Action, Destination};
use super::{ResponseFuture, RouteEntry, RouterStats};
use crate::body::{Body, ResponseBody};
use crate::cluster::{AutoHost, ConnectTcp};
use crate::error::respond::local_reply_to;
use crate::error::{ErrorKind, ProxyError};
use crate::filters::ChainId;
use crate::request_id;
use crate::route::{Found, HostOutcome, Place, RequestView, RouteMatch, RouteTable, redirect};
use crate::stats::Scope;
use crate::stream_info::{Observer, RequestHead, StreamInfo};
use crate::upgrade::{ActiveUpgrade, Asked};

/// Routes requests; see the [module](super).
#[derive(Debug)]
pub struct Router<S> {
    table: Arc<RouteTable<RouteEntry<S>>>,
    stats: Arc<RouterStats>,
    observer: Option<Arc<Observer>>,
    envoy_headers: bool,
}

impl<S> Router<S> {
    /// By this table, counting nothing.
    pub fn new(table: Arc<RouteTable<RouteEntry<S>>>) -> Self {
        let stats = Arc::new(RouterStats::new(&Scope::noop()));
        Self { table, stats, observer: None, envoy_headers: true }
    }

    /// Forwards every request to `service`, for chains without routes.
    ///
    /// ```
    /// use front_proxy_layers::cluster::Cluster;
    /// use front_proxy_layers::respond::RespondLayer;
    /// use front_proxy_layers::router::Router;
    /// use front_proxy_layers::sanitize::SanitizeLayer;
    /// use tower::ServiceBuilder;
    ///
    /// let cluster = Cluster::builder("service1").build();
    /// let proxy = ServiceBuilder::new()
    ///     .layer(RespondLayer::new())
    ///     .layer(SanitizeLayer::new())
    ///     .service(Router::forward(cluster));
    /// let app = axum::Router::<()>::new().fallback_service(proxy);
    /// # let _ = app;
    /// ```
    pub fn forward(service: S) -> Self {
        let everything = RouteMatch::prefix("/");
        let routes = [(everything, RouteEntry::forward(service))];
        let table = RouteTable::builder().virtual_host("all", ["*"], routes).build();
        // The one way to fail is a domain that is given twice, and there is one.
        Self::new(Arc::new(table.expect("a single domain")))
    }

    /// Counts into these.
    #[must_use]
    pub fn stats(mut self, stats: Arc<RouterStats>) -> Self {
        self.stats = stats;
        self
    }

    /// Whether answers carry Envoy's own headers (`suppress_envoy_headers` is the contrary).
    /// Default `true`.
    #[must_use]
    pub fn envoy_headers(mut self, envoy_headers: bool) -> Self {
        self.envoy_headers = envoy_headers;
        self
    }

    /// For one connection: who begins the [`StreamInfo`] of a request whose route adds headers
    /// that are made of it.
    #[must_use]
    pub fn observer(mut self, observer: Option<Arc<Observer>>) -> Self {
        self.observer = observer;
        self
    }
}

impl<S> Clone for Router<S> {
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
            stats: Arc::clone(&self.stats),
            observer: self.observer.clone(),
            envoy_headers: self.envoy_headers,
        }
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
        match self.select(&mut parts) {
            Ok(selected) => self.route(selected, parts, body),
            Err(error) => ResponseFuture::failed(error),
        }
    }
}

/// What was found for a request. It stays so, whatever filters make of the request afterwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selected {
    place: Option<Place>,
    random: u64,
    connect_tcp: bool,
}

impl<S> Router<S> {
    /// Finds the route of a request.
    #[inline]
    pub(crate) fn select(&self, parts: &mut Parts) -> Result<Selected, ProxyError> {
        let random = fastrand::u64(..);
        let view = RequestView::of(parts, random);
        let place = self.table.place(&view);
        let mut connect_tcp = false;
        if let Some(asked) = parts.extensions.get::<Asked>() {
            match self.allows(asked, place.and_then(|place| self.table.get(place)).as_ref()) {
                Some(allowed) => connect_tcp = allowed.connect_tcp,
                // Not counted as a request of the router: Envoy refuses before it gets there.
                None => return Err(self.refuse_upgrade(place, random, parts)),
            }
        }
        Ok(Selected { place, random, connect_tcp })
    }

    #[cold]
    fn refuse_upgrade(&self, place: Option<Place>, random: u64, parts: &mut Parts) -> ProxyError {
        let (edits, _) = self.edits(place, random, parts);
        note_answered(parts);
        let error = ProxyError::new(ErrorKind::UpgradeRefused);
        match edits {
            Some(edits) => edits.failure(error),
            None => error,
        }
    }

    /// The edits of a route that forwards, if it was one, and its filters.
    fn edits(
        &self,
        place: Option<Place>,
        random: u64,
        parts: &mut Parts,
    ) -> (Option<Edits>, ChainId) {
        let found = place.and_then(|place| self.table.get(place));
        let Some(Found::Route { action: entry, .. }) = found else {
            return (None, ChainId::default());
        };
        let Action::Forward { target, .. } = &entry.action else {
            return (None, entry.chain(None));
        };
        let destination = target.pick(random).ok();
        let edits = entry
            .editor(destination)
            .map(|editor| Edits::begin(editor, parts, self.observer.as_deref()));
        note_route(parts, entry, destination);
        (edits, entry.chain(destination))
    }

    /// The filters that a request passes first; takes down what they may be asked about it.
    pub(crate) fn enter_filters(
        &self,
        selected: Selected,
        parts: &mut Parts,
        observed: bool,
    ) -> ChainId {
        if observed && StreamInfo::of(&parts.extensions).is_none() {
            let info = Observer::begin(self.observer.as_deref(), parts);
            parts.extensions.insert(Arc::new(info));
        }
        if let Some(info) = StreamInfo::of(&parts.extensions) {
            info.set_entered(RequestHead::of_parts(parts));
        }
        let (edits, chain) = self.edits(selected.place, selected.random, parts);
        if let Some(edits) = edits {
            parts.extensions.insert(RouteEdits(edits));
        }
        chain
    }
}

impl<S, R> Router<S>
where
    S: Service<Request<Body>, Response = Response<R>, Error = ProxyError> + Clone,
{
    /// Does what the route of a request says.
    #[inline]
    pub(crate) fn route(
        &self,
        selected: Selected,
        mut parts: Parts,
        body: Body,
    ) -> ResponseFuture<S> {
        let Selected { place, random, connect_tcp } = selected;
        self.stats.rq_total.increment(1);
        let (matching, entry) = match place.and_then(|place| self.table.get(place)) {
            Some(Found::Route { matching, action, .. }) => (matching, action),
            Some(Found::RequireTls { .. }) => {
                self.stats.rq_direct_response.increment(1);
                note_answered(&parts);
                let (head, ()) = redirect::tls_reply(&RequestView::of(&parts, random)).into_parts();
                let reply = local_reply_to(&parts.headers, head.headers, head.status, Bytes::new());
                return ResponseFuture::reply(reply);
            }
            None => {
                self.stats.no_route.increment(1);
                note_answered(&parts);
                return ResponseFuture::failed(ProxyError::new(ErrorKind::NoRoute));
            }
        };
        let (headers, status, body) = match &entry.action {
            Action::Forward { target, rewrite } => {
                let destination = target.pick(random);
                let edits = entry
                    .editor(destination.ok())
                    .map(|editor| Edits::begin(editor, &mut parts, self.observer.as_deref()));
                note_route(&parts, entry, destination.ok());
                let destination = match destination {
                    Ok(destination) => destination,
                    Err(status) => {
                        self.stats.no_cluster.increment(1);
                        note_answered(&parts);
                        let error = ProxyError::new(ErrorKind::ClusterNotFound(status));
                        return ResponseFuture::failed(match &edits {
                            Some(edits) => edits.failure(error),
                            None => error,
                        });
                    }
                };
                if let Some(edits) = &edits {
                    edits.request(&mut parts);
                    request_id::tell_edited(&parts);
                }
                if let Some(rewrite) = rewrite {
                    match rewrite.apply(&matching.path, &mut parts) {
                        Ok(HostOutcome::Auto) => {
                            parts.extensions.insert(AutoHost(rewrite.host_options()));
                        }
                        Ok(HostOutcome::Kept | HostOutcome::Replaced) => {}
                        Err(error) => {
                            note_answered(&parts);
                            let error = ProxyError::new(ErrorKind::BadRequest).with_source(error);
                            return ResponseFuture::failed(error);
                        }
                    }
                }
                if connect_tcp {
                    parts.extensions.insert(ConnectTcp);
                }
                let request = Request::from_parts(parts, body);
                let service = destination.service.clone();
                return ResponseFuture::forward(service, request, edits, self.envoy_headers);
            }
            Action::Redirect(redirector) => {
                let view = RequestView::of(&parts, random);
                let (head, ()) = redirector.reply(&matching.path, &view).into_parts();
                if StreamInfo::of(&parts.extensions).is_some() {
                    redirector.rewrite(&matching.path, &mut parts, self.envoy_headers);
                }
                (head.headers, head.status, Bytes::new())
            }
            Action::Direct(direct) => {
                let mut headers = HeaderMap::new();
                if direct.status == StatusCode::CREATED || direct.status.is_redirection() {
                    let view = RequestView::of(&parts, random);
                    redirect::set_location(&mut headers, redirect::own_url(&view));
                }
                (headers, direct.status, direct.body.clone())
            }
        };
        // Envoy counts redirects here too.
        self.stats.rq_direct_response.increment(1);
        ResponseFuture::reply(self.reply(entry, parts, headers, status, body))
    }
}

impl<S> Router<S> {
    /// The response of a route that forwards nothing.
    fn reply(
        &self,
        entry: &RouteEntry<S>,
        mut parts: Parts,
        mut headers: HeaderMap,
        status: StatusCode,
        body: Bytes,
    ) -> Response<ResponseBody<()>> {
        let edits = entry
            .editor(None)
            .map(|editor| Edits::begin(editor, &mut parts, self.observer.as_deref()));
        if let Some(info) = StreamInfo::of(&parts.extensions)
            && let Some(name) = &entry.name
        {
            info.set_route(Arc::clone(name));
        }
        // First: the edits may be made of it.
        note_answered(&parts);
        if let Some(edits) = edits {
            edits.reply(status, &mut headers);
        }
        local_reply_to(&parts.headers, headers, status, body)
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
            // Envoy lets the switch begin before it finds that there is no route.
            if asked.is_allowed() {
                self.stats.downstream_cx_upgrades_total.increment(1);
            }
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

/// Takes down where a request goes.
#[inline]
fn note_route<S>(parts: &Parts, entry: &RouteEntry<S>, destination: Option<&Destination<S>>) {
    if let Some(info) = StreamInfo::of(&parts.extensions) {
        if let Some(name) = &entry.name {
            info.set_route(Arc::clone(name));
        }
        if let Some(names) = destination.and_then(|to| to.names.as_ref()) {
            info.set_cluster(names);
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
