//! A cluster as a tower service: picking an endpoint and what is counted meanwhile.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tower_service::Service;

use super::{Cluster, ResponseFuture, Tries, UpstreamBody};
use crate::body::Body;
use crate::endpoint::{Endpoint, EndpointStats};
use crate::error::{ErrorKind, ProxyError};
use crate::outlier::Outcome;
use crate::route::is_grpc;
use crate::route::rewrite::{HostName, HostOptions};
use crate::stream_info::{RequestHead, StreamInfo};

/// An endpoint asks with it to be left out until a health check succeeds.
const LEAVE_OUT: HeaderName = HeaderName::from_static("x-envoy-immediate-health-check-fail");

/// Which limits a request counts against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Priority {
    /// The default.
    #[default]
    Default,
    /// Routes that say `priority: HIGH`.
    High,
}

/// The hash of a request for balancers that keep equal ones on one endpoint; put into the
/// request's extensions by the route.
#[derive(Clone, Copy, Debug)]
pub struct BalanceHash(pub u64);

/// The host of a request is to be its endpoint's name (`auto_host_rewrite`); put into the request's
/// extensions by the route.
#[derive(Clone, Copy, Debug)]
pub struct AutoHost(pub HostOptions);

impl AutoHost {
    /// Replaces the host, where the endpoint was found by a name. To Envoy the head of a request is
    /// one for all its tries: the host that is replaced is the one of the try before.
    fn apply(self, request: Request<Body>, endpoint: &Arc<Endpoint>) -> Request<Body> {
        let tries = request.extensions().get::<Arc<Tries>>().map(Arc::clone);
        let (mut parts, body) = request.into_parts();
        let mut replace = |endpoint: &Arc<Endpoint>| {
            let name = HeaderValue::from_str(endpoint.hostname()).ok().and_then(HostName::new);
            if let Some(name) = name {
                name.replace(&mut parts, self.0);
            }
        };
        match tries {
            Some(tries) => tries.each(replace),
            None => replace(endpoint),
        }
        Request::from_parts(parts, body)
    }
}

impl Service<Request<Body>> for Cluster {
    type Response = Response<UpstreamBody>;
    type Error = ProxyError;
    type Future = ResponseFuture;

    /// Always ready: what a request needs is reserved in its future, where it is also given
    /// back, so that a caller that turns away after `poll_ready` holds nothing.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> ResponseFuture {
        if self.inner.keys.turns_away() && !is_repeated(&request) {
            return self.turn_away(&request);
        }
        let hash = request.extensions().get::<BalanceHash>().map(|hash| hash.0);
        let picked = match request.extensions().get::<Arc<Tries>>() {
            None => self.pick(hash, 0),
            Some(tries) => tries.choose(|attempt| self.pick(hash, attempt)),
        };
        if let Some(endpoint) = &picked
            && let Some(auto) = request.extensions().get::<AutoHost>().copied()
        {
            request = auto.apply(request, endpoint);
        }
        if let Some(info) = StreamInfo::of(request.extensions()) {
            info.set_cluster(&self.inner.names);
            // Once for all tries: it copies the headers.
            if !info.knows_request() {
                info.set_request(RequestHead::of(&request));
            }
            info.try_endpoint(picked.as_ref());
        }
        match picked {
            Some(endpoint) => ResponseFuture::new(self.clone(), endpoint, request),
            None => {
                self.inner.stats.cx_none_healthy.increment(1);
                ResponseFuture::failed(ProxyError::new(ErrorKind::NoHealthyUpstream))
            }
        }
    }
}

/// Whether the request was tried before: it is turned away as a whole or not at all.
fn is_repeated(request: &Request<Body>) -> bool {
    request.extensions().get::<Arc<Tries>>().is_some_and(|tries| tries.endpoint().is_some())
}

impl Cluster {
    #[cold]
    fn turn_away(&self, request: &Request<Body>) -> ResponseFuture {
        self.inner.stats.rq_maintenance_mode.increment(1);
        if let Some(info) = StreamInfo::of(request.extensions()) {
            info.set_cluster(&self.inner.names);
            info.set_request(RequestHead::of(request));
        }
        ResponseFuture::failed(ProxyError::new(ErrorKind::Maintenance))
    }

    fn pick(&self, hash: Option<u64>, attempt: u32) -> Option<Arc<Endpoint>> {
        let set = self.inner.endpoints.load();
        let picked = set.pick(hash, attempt);
        if picked.panic {
            self.inner.stats.lb_healthy_panic.increment(1);
        }
        picked.endpoint.map(Arc::clone)
    }
}

/// A request in flight: counted here, and given back when this is dropped, which is when the
/// response body ends or is dropped.
#[derive(Debug)]
pub(crate) struct ActiveRequest {
    cluster: Cluster,
    endpoint: Arc<Endpoint>,
    /// A gRPC status in the head of the response counts instead of its own.
    grpc: bool,
}

/// The HTTP status that a [gRPC status](https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto)
/// stands for.
fn http_status(grpc: &str) -> u16 {
    match grpc {
        "0" => 200,
        "1" => 499,
        "3" | "9" | "11" => 400,
        "4" => 504,
        "5" => 404,
        "6" | "10" => 409,
        "7" => 403,
        "8" => 429,
        "12" => 501,
        "14" => 503,
        "16" => 401,
        _ => 500,
    }
}

impl ActiveRequest {
    /// Counts a request that is about to be sent; `None` if the circuit breaker is open.
    pub(super) fn begin(
        cluster: &Cluster,
        endpoint: &Arc<Endpoint>,
        request: &Request<Body>,
    ) -> Option<Self> {
        let inner = &cluster.inner;
        if !inner.resources(cluster.priority).requests.try_take() {
            inner.stats.rq_active_overflow.increment(1);
            return None;
        }
        if let Some(tries) = request.extensions().get::<Arc<Tries>>() {
            tries.sent();
        }
        inner.stats.rq_total.increment(1);
        inner.stats.rq_active.increment(1.0);
        EndpointStats::raise(&endpoint.stats().rq_total);
        EndpointStats::raise(&endpoint.stats().rq_active);
        let grpc = endpoint.monitor().is_some() && is_grpc(request.headers());
        Some(Self { cluster: cluster.clone(), endpoint: Arc::clone(endpoint), grpc })
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// There is a connection for it.
    pub(super) fn connected(&self) {
        self.endpoint.report(Outcome::Connected);
    }

    /// What the head of a response says of the endpoint.
    pub(super) fn answered(&self, status: StatusCode, headers: &HeaderMap) {
        self.outcome(!status.is_server_error());
        self.endpoint.report(Outcome::Status(self.code(status, headers)));
        let inner = &self.cluster.inner;
        if let Some(checker) = &inner.checker
            && headers.contains_key(LEAVE_OUT)
            && checker.leave_out(&self.endpoint)
        {
            inner.refresh();
        }
    }

    /// The status of a response, or what the gRPC status in its head stands for.
    fn code(&self, status: StatusCode, headers: &HeaderMap) -> u16 {
        let grpc = if self.grpc { headers.get("grpc-status") } else { None };
        grpc.map_or(status.as_u16(), |status| http_status(status.to_str().unwrap_or_default()))
    }

    /// The connection broke, or what came on it was no HTTP.
    pub(super) fn broken(&self) {
        self.endpoint.report(Outcome::Broken);
    }

    /// There was no answer when the time was up.
    pub(super) fn timed_out(&self) {
        self.endpoint.timed_out();
    }

    /// Counts how it went for the endpoint.
    pub(super) fn outcome(&self, success: bool) {
        let stats = self.endpoint.stats();
        let counter = if success { &stats.rq_success } else { &stats.rq_error };
        EndpointStats::raise(counter);
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let inner = &self.cluster.inner;
        inner.stats.rq_active.decrement(1.0);
        inner.resources(self.cluster.priority).requests.give();
        EndpointStats::lower(&self.endpoint.stats().rq_active);
    }
}

/// A request that waits for a connection.
#[derive(Debug)]
pub(super) struct PendingRequest {
    cluster: Cluster,
    cancelled: bool,
}

impl PendingRequest {
    /// Counts it; `None` if the circuit breaker is open.
    pub(super) fn begin(cluster: &Cluster) -> Option<Self> {
        let inner = &cluster.inner;
        if !inner.resources(cluster.priority).pending.try_take() {
            inner.stats.rq_pending_overflow.increment(1);
            return None;
        }
        inner.stats.rq_pending_total.increment(1);
        inner.stats.rq_pending_active.increment(1.0);
        Some(Self { cluster: cluster.clone(), cancelled: true })
    }

    /// It waits no more.
    pub(super) fn end(mut self) {
        self.cancelled = false;
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        let inner = &self.cluster.inner;
        if self.cancelled {
            inner.stats.rq_cancelled.increment(1);
        }
        inner.stats.rq_pending_active.decrement(1.0);
        inner.resources(self.cluster.priority).pending.give();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::{Member, MemberSet};

    #[test]
    fn each_try_replaces_the_host_of_the_one_before() {
        let cluster = Cluster::builder("c").build();
        let members = ["one", "two"].iter().zip(1..).map(|(name, port)| Member {
            hostname: (*name).into(),
            ..Member::new(([127, 0, 0, 1], port).into())
        });
        cluster.update(members.collect());
        let tries = Arc::new(Tries::anywhere());
        let auto =
            AutoHost(HostOptions { append_x_forwarded_host: true, ..HostOptions::default() });
        let mut told = Vec::new();
        for endpoint in cluster.endpoints() {
            tries.choose(|_| Some(Arc::clone(&endpoint)));
            let request = Request::get("/").header("host", "front").extension(Arc::clone(&tries));
            let request = auto.apply(request.body(Body::empty()).expect("ok"), &endpoint);
            let names = ["host", "x-envoy-original-host", "x-forwarded-host"];
            told.push(names.map(|name| request.headers()[name].to_str().expect("text").to_owned()));
        }
        assert_eq!(told, [["one", "front", "front"], ["two", "one", "front,one"]]);
    }
}
