//! HTTP filters before the router.

use std::time::Duration;

use front_proxy_layers::cors::CorsPolicy;
use front_proxy_layers::fault::FaultSettings;
use front_proxy_layers::route::{HeaderEdits, HeaderMatch};
use front_proxy_layers::runtime::RuntimeFraction;
use http::StatusCode;

/// One of `http_filters`.
#[derive(Clone, Debug)]
pub struct HttpFilter {
    /// `name`: what routes call it by.
    pub name: String,
    /// `disabled`: routes that say something about it are the ones that have it.
    pub disabled: bool,
    /// What it is.
    pub config: HttpFilterConfig,
}

/// What a filter is, and how it is set.
#[derive(Clone, Debug)]
pub enum HttpFilterConfig {
    /// `Buffer`: its `max_request_bytes`.
    Buffer(u32),
    /// `Cors`: routes have the policies.
    Cors,
    /// `HTTPFault`
    Fault(Box<Fault>),
    /// `HealthCheck`
    HealthCheck(HealthCheckFilter),
    /// `LocalRateLimit`
    LocalRateLimit(Box<LocalRateLimit>),
}

/// What a route, or what it belongs to, says about a filter (`typed_per_filter_config`).
#[derive(Clone, Debug)]
pub struct FilterOverride {
    /// The filter's name.
    pub name: String,
    /// It is left out.
    pub disabled: bool,
    /// How it is set, where that is said.
    pub config: Option<RouteFilterConfig>,
}

/// How a filter is set for a route.
#[derive(Clone, Debug)]
pub enum RouteFilterConfig {
    /// `BufferPerRoute`: its `max_request_bytes`, or `disabled`.
    Buffer(Option<u32>),
    /// `CorsPolicy`
    Cors(Box<CorsPolicy>),
    /// `HTTPFault`
    Fault(Box<Fault>),
    /// `LocalRateLimit`
    LocalRateLimit(Box<LocalRateLimit>),
}

/// `HTTPFault`.
#[derive(Clone, Debug, Default)]
pub struct Fault {
    /// Which requests meet which faults.
    pub settings: FaultSettings,
    /// `upstream_cluster`: only requests that go there; empty is all.
    pub upstream_cluster: String,
}

/// `HealthCheck`.
#[derive(Clone, Debug, Default)]
pub struct HealthCheckFilter {
    /// `pass_through_mode`
    pub pass_through: bool,
    /// `cache_time`, where given.
    pub cache_time: Option<Duration>,
    /// `cluster_min_healthy_percentages`
    pub clusters: Vec<(String, f64)>,
    /// `headers`: what makes a request a health check.
    pub headers: Vec<HeaderMatch>,
}

/// `LocalRateLimit`.
#[derive(Clone, Debug)]
pub struct LocalRateLimit {
    /// `stat_prefix`
    pub stat_prefix: String,
    /// `token_bucket`. Without one nothing is limited.
    pub bucket: Option<TokenBucket>,
    /// `filter_enabled`. Default none.
    pub enabled: RuntimeFraction,
    /// `filter_enforced`. Default none.
    pub enforced: RuntimeFraction,
    /// `status`. Default 429.
    pub status: StatusCode,
    /// `rate_limited_as_resource_exhausted`
    pub resource_exhausted: bool,
    /// `enable_x_ratelimit_headers: DRAFT_VERSION_03`
    pub x_ratelimit_headers: bool,
    /// `response_headers_to_add` and `request_headers_to_add_when_not_enforced`
    pub headers: HeaderEdits,
}

/// `token_bucket`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    /// `max_tokens`
    pub max: u32,
    /// `tokens_per_fill`. Default 1.
    pub per_fill: u32,
    /// `fill_interval`
    pub interval: Duration,
}
