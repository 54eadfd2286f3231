//! From a route to its cluster.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::chain::{Routed, RoutedBody, RoutedFuture};
use crate::body::{Body, hints_of_inner};
use crate::cluster::Cluster;
use crate::error::ProxyError;
use crate::hash_policy::HashPolicyLayer;
#[cfg(feature = "retry")]
use crate::retry::RetryLayer;
use crate::timeout::TimeoutLayer;

/// The layers between a route and its cluster. It sees to it that all of them count for the cluster.
#[derive(Clone, Debug)]
pub struct RouteLayer {
    pub(super) timeout: TimeoutLayer,
    pub(super) hash_policy: HashPolicyLayer,
    #[cfg(feature = "retry")]
    pub(super) retry: RetryLayer,
    pub(super) envoy_headers: bool,
}

impl RouteLayer {
    /// Without timeouts, hashes and retries.
    pub fn new() -> Self {
        Self {
            timeout: TimeoutLayer::optional(None),
            hash_policy: HashPolicyLayer::new([]),
            #[cfg(feature = "retry")]
            retry: RetryLayer::disabled(),
            envoy_headers: true,
        }
    }

    /// Bounds requests and responses. Default not at all.
    #[must_use]
    pub fn timeout(mut self, timeout: TimeoutLayer) -> Self {
        self.timeout = timeout;
        self
    }

    /// Keeps requests that are alike on one endpoint. Default none.
    #[must_use]
    pub fn hash_policy(mut self, hash_policy: HashPolicyLayer) -> Self {
        self.hash_policy = hash_policy;
        self
    }

    /// Tries again. Default never.
    #[cfg(feature = "retry")]
    #[must_use]
    pub fn retry(mut self, retry: RetryLayer) -> Self {
        self.retry = retry;
        self
    }

    /// Whether answers tell `x-envoy-upstream-service-time`. Default `true`.
    #[must_use]
    pub fn envoy_headers(mut self, envoy_headers: bool) -> Self {
        self.envoy_headers = envoy_headers;
        self
    }
}

impl Default for RouteLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer<Cluster> for RouteLayer {
    type Service = RouteService;

    fn layer(&self, cluster: Cluster) -> RouteService {
        RouteService { inner: self.chain(cluster) }
    }
}

/// What a route forwards to: a cluster behind a [`RouteLayer`].
#[derive(Clone, Debug)]
pub struct RouteService {
    inner: Routed,
}

impl Service<Request<Body>> for RouteService {
    type Response = Response<RouteBody>;
    type Error = ProxyError;
    type Future = RouteFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> RouteFuture {
        RouteFuture { inner: self.inner.call(request) }
    }
}

pin_project! {
    /// The future of [`RouteService`].
    pub struct RouteFuture {
        #[pin]
        inner: RoutedFuture,
    }
}

impl Future for RouteFuture {
    type Output = Result<Response<RouteBody>, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.project().inner.poll(cx);
        polled.map_ok(|response| response.map(|inner| RouteBody { inner }))
    }
}

impl fmt::Debug for RouteFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// The body of what a [`RouteService`] answers.
    #[derive(Debug)]
    pub struct RouteBody {
        #[pin]
        inner: RoutedBody,
    }
}

impl http_body::Body for RouteBody {
    type Data = Bytes;
    type Error = ProxyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ProxyError>>> {
        self.project().inner.poll_frame(cx)
    }

    hints_of_inner!();
}
