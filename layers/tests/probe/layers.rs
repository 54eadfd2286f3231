//! Every layer of the crate, around a probe.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use front_proxy_layers::access_log::{AccessLogLayer, AccessLogger, LogSink};
use front_proxy_layers::body::Body;
use front_proxy_layers::buffer::BufferLayer;
use front_proxy_layers::cluster::ClusterStats;
use front_proxy_layers::cors::{CorsLayer, CorsPolicy};
use front_proxy_layers::error::BoxError;
use front_proxy_layers::fault::{Delay, DelayFor, FaultLayer, FaultSettings};
use front_proxy_layers::filters::{Filtered, Filters};
use front_proxy_layers::format::Format;
use front_proxy_layers::forwarded::{ForwardedLayer, ForwardedPolicy};
use front_proxy_layers::handler::HandlerLayer;
use front_proxy_layers::hash_policy::HashPolicyLayer;
use front_proxy_layers::health_check_filter::HealthCheckLayer;
use front_proxy_layers::local_rate_limit::{LocalRateLimitLayer, LocalRateLimitSettings};
use front_proxy_layers::mount::MountLayer;
use front_proxy_layers::request_id::RequestIdLayer;
use front_proxy_layers::respond::RespondLayer;
use front_proxy_layers::retry::RetryLayer;
use front_proxy_layers::route::{
    Fraction, HashPolicy, HeaderMatch, HeaderMatchName, HeaderRule, PathMatch, RetryOn,
    RetryPolicy, RouteMatch, RouteTable,
};
use front_proxy_layers::router::{RouteEntry, Router};
use front_proxy_layers::sanitize::{PathNormalizer, SanitizeLayer};
use front_proxy_layers::server_header::ServerHeaderLayer;
use front_proxy_layers::stats::{DownstreamStats, Scope, StatsLayer};
use front_proxy_layers::timeout::TimeoutLayer;
use front_proxy_layers::upgrade::UpgradeLayer;
use front_proxy_layers::upstream_stats::UpstreamStatsLayer;
use front_proxy_layers::upstream_timing::UpstreamTimingLayer;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use super::{Ledger, Probe};

pub(crate) type Answered = Response<UnsyncBoxBody<Bytes, BoxError>>;
pub(crate) type Outer = BoxCloneService<Request<Body>, Answered, BoxError>;

/// A layer around a probe.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How it is set up, where there are several ways.
    pub(crate) setup: &'static str,
    wrap: Box<dyn Fn(Probe) -> Outer>,
    /// Whether its readiness is that of the service inside.
    pub(crate) passes_readiness: bool,
    /// Whether it answers for a service inside that fails.
    pub(crate) answers_failures: bool,
    /// Whether a request waits for a clock before it gets to the service inside.
    pub(crate) waits_for_time: bool,
}

impl Case {
    fn new<L>(name: &'static str, setup: &'static str, layer: L) -> Self
    where
        L: Layer<Probe> + 'static,
        L::Service: IntoOuter,
    {
        let wrap = Box::new(move |probe| layer.layer(probe).into_outer());
        Self {
            name,
            setup,
            wrap,
            passes_readiness: true,
            answers_failures: false,
            waits_for_time: false,
        }
    }

    pub(crate) fn around(&self, ledger: &Ledger) -> Outer {
        (self.wrap)(ledger.probe())
    }
}

/// A service in the shape of all others: only the types go, readiness and clones stay its own.
trait IntoOuter {
    fn into_outer(self) -> Outer;
}

impl<S, R> IntoOuter for S
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    fn into_outer(self) -> Outer {
        let boxed = |response: Response<R>| response.map(|b| b.map_err(Into::into).boxed_unsync());
        BoxCloneService::new(self.map_response(boxed).map_err(Into::into))
    }
}

/// Every layer, in each way that makes it do something else.
pub(crate) fn layers() -> Vec<Case> {
    let nowhere = Scope::noop();
    let cluster = || Arc::new(ClusterStats::new(&Scope::noop()));
    let downstream = Arc::new(DownstreamStats::new(&nowhere, "test"));
    let logger = AccessLogger::text(Format::parse("%RESPONSE_CODE%\n").unwrap(), Arc::new(Nowhere));
    let cookie = HashPolicy::Cookie {
        name: "c".to_owned(),
        ttl: Some(Duration::from_secs(1)),
        path: "/".to_owned(),
        terminal: false,
    };
    let normalizer = PathNormalizer { merge_slashes: true, ..PathNormalizer::default() };
    let retry = RetryPolicy {
        on: RetryOn { five_xx: true, ..RetryOn::default() },
        num_retries: 2,
        ..RetryPolicy::default()
    };
    let time = DelayFor::Fixed(Duration::from_millis(1));
    let delay = FaultSettings {
        delay: Some(Delay { time, percentage: Fraction::ALL }),
        ..FaultSettings::default()
    };
    let is_check = HeaderMatch {
        name: HeaderMatchName::Header("x-check".parse().unwrap()),
        rule: HeaderRule::Present(true),
        invert: false,
        treat_missing_as_empty: false,
    };
    vec![
        Case::new("MountLayer", "", MountLayer::new().nested_at("/x")),
        Case::new("UpgradeLayer", "none allowed", UpgradeLayer::new()),
        Case::new("UpgradeLayer", "websocket", UpgradeLayer::new().allow("websocket")),
        Case::new("StatsLayer", "", StatsLayer::new(Arc::clone(&downstream))),
        Case::new("AccessLogLayer", "off", AccessLogLayer::off()),
        Case::new("AccessLogLayer", "a line", AccessLogLayer::new([logger])),
        Case::new("ServerHeaderLayer", "", ServerHeaderLayer::new(HeaderValue::from_static("s"))),
        Case { answers_failures: true, ..Case::new("RespondLayer", "", RespondLayer::new()) },
        Case::new("SanitizeLayer", "headers", SanitizeLayer::new()),
        Case::new("SanitizeLayer", "paths", SanitizeLayer::new().path(normalizer)),
        Case::new("ForwardedLayer", "", ForwardedLayer::new(ForwardedPolicy::default())),
        Case::new("RequestIdLayer", "", RequestIdLayer::new()),
        Case::new("RequestIdLayer", "respond", RequestIdLayer::new().respond(true)),
        Case::new("UpstreamStatsLayer", "", UpstreamStatsLayer::new(cluster())),
        Case::new("TimeoutLayer", "none", TimeoutLayer::optional(None)),
        Case::new("TimeoutLayer", "a day", TimeoutLayer::new(Duration::from_secs(24 * 3600))),
        Case::new("HashPolicyLayer", "none", HashPolicyLayer::new([])),
        Case::new("HashPolicyLayer", "cookie", HashPolicyLayer::new([cookie])),
        Case::new("UpstreamTimingLayer", "", UpstreamTimingLayer::new()),
        Case::new("FaultLayer", "none", FaultLayer::new(FaultSettings::default())),
        Case { waits_for_time: true, ..Case::new("FaultLayer", "a delay", FaultLayer::new(delay)) },
        Case::new("CorsLayer", "", CorsLayer::new(CorsPolicy::default())),
        Case::new(
            "LocalRateLimitLayer",
            "",
            LocalRateLimitLayer::new(None, LocalRateLimitSettings::default()),
        ),
        Case::new("BufferLayer", "", BufferLayer::new(1000)),
        Case::new("HealthCheckLayer", "", HealthCheckLayer::new([is_check])),
        Case::new("RetryLayer", "disabled", RetryLayer::disabled()),
        Case::new("HandlerLayer", "", HandlerLayer::new()),
        Case::new("RetryLayer", "5xx", RetryLayer::new(retry)),
    ]
}

/// The router, which is no layer: it makes ready what it calls in its future.
fn router() -> Case {
    let wrap = Box::new(|probe| routed(probe).into_outer());
    Case {
        name: "Router",
        setup: "",
        wrap,
        passes_readiness: false,
        answers_failures: false,
        waits_for_time: false,
    }
}

/// The router behind filters, whose bodies are boxed where they have something to do.
fn filtered() -> Case {
    let wrap = Box::new(|probe| {
        let mut filters = Filters::new();
        let timeout = TimeoutLayer::new(Duration::from_secs(24 * 3600));
        let stats = UpstreamStatsLayer::new(Arc::new(ClusterStats::new(&Scope::noop())));
        let chain = filters.chain().filter(timeout).filter(stats);
        filters.set_default(chain);
        Filtered::new(routed(probe), filters).into_outer()
    });
    Case {
        name: "Filtered",
        setup: "",
        wrap,
        passes_readiness: false,
        answers_failures: true,
        waits_for_time: false,
    }
}

fn routed<S>(service: S) -> Router<S> {
    let route = RouteMatch::new(PathMatch::Prefix("/".to_owned()));
    let routes = [(route, RouteEntry::forward(service))];
    let table = RouteTable::builder().virtual_host("all", ["*"], routes).build();
    Router::new(Arc::new(table.expect("one domain")))
}

/// The whole chain, as a proxy has it.
fn chain() -> Case {
    let stats = Arc::new(DownstreamStats::new(&Scope::noop(), "test"));
    let cluster = Arc::new(ClusterStats::new(&Scope::noop()));
    let before = ServiceBuilder::new()
        .layer(UpgradeLayer::new())
        .layer(StatsLayer::new(stats))
        .layer(AccessLogLayer::off())
        .layer(ServerHeaderLayer::new(HeaderValue::from_static("s")))
        .layer(RespondLayer::new())
        .layer(SanitizeLayer::new())
        .layer(ForwardedLayer::default())
        .layer(RequestIdLayer::new());
    let behind = ServiceBuilder::new()
        .layer(UpstreamStatsLayer::new(cluster))
        .layer(TimeoutLayer::new(Duration::from_secs(24 * 3600)))
        .layer(HashPolicyLayer::new([]))
        .layer(UpstreamTimingLayer::new())
        .layer(RetryLayer::disabled());
    let wrap = Box::new(move |probe| before.service(routed(behind.service(probe))).into_outer());
    Case {
        name: "all of them",
        setup: "",
        wrap,
        passes_readiness: false,
        answers_failures: true,
        waits_for_time: false,
    }
}

pub(crate) fn cases() -> Vec<Case> {
    layers().into_iter().chain([router(), filtered(), chain()]).collect()
}

#[derive(Debug)]
struct Nowhere;

impl LogSink for Nowhere {
    fn write(&self, _: &[u8]) {}
}
