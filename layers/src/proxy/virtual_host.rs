//! Routes for some hosts only.

use super::Route;
use crate::route::RouteMatch;

/// Routes for requests to some hosts; see [`ProxyBuilder::virtual_host`](super::ProxyBuilder::virtual_host).
#[derive(Clone, Debug)]
pub struct VirtualHost {
    pub(super) domains: Vec<String>,
    pub(super) routes: Vec<(RouteMatch, Route)>,
}

impl VirtualHost {
    /// For requests to these domains: `www.example.com`, `*.example.com` or `example.*`. A port in the
    /// request's authority is part of what is compared.
    pub fn new<D: Into<String>>(domains: impl IntoIterator<Item = D>) -> Self {
        Self { domains: domains.into_iter().map(Into::into).collect(), routes: Vec::new() }
    }

    /// As [`ProxyBuilder::route`](super::ProxyBuilder::route).
    #[must_use]
    pub fn route(mut self, matching: impl Into<RouteMatch>, route: impl Into<Route>) -> Self {
        self.routes.push((matching.into(), route.into()));
        self
    }
}
