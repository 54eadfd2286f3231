//! Routes for some hosts only.

use std::sync::Arc;

use super::Route;
use super::http_filters::HttpFilters;
use crate::filters::Filter;
use crate::http_connection_manager::RouteBody;
use crate::route::RouteMatch;

/// Routes for requests to some hosts; see [`ProxyBuilder::virtual_host`](super::ProxyBuilder::virtual_host).
#[derive(Clone, Debug)]
pub struct VirtualHost {
    pub(super) domains: Vec<String>,
    pub(super) routes: Vec<(RouteMatch, Route)>,
    pub(super) http_filters: HttpFilters,
}

impl VirtualHost {
    /// For requests to these domains: `www.example.com`, `*.example.com` or `example.*`. A port in the
    /// request's authority is part of what is compared.
    pub fn new<D: Into<String>>(domains: impl IntoIterator<Item = D>) -> Self {
        let domains = domains.into_iter().map(Into::into).collect();
        Self { domains, routes: Vec::new(), http_filters: HttpFilters::default() }
    }

    /// As [`ProxyBuilder::route`](super::ProxyBuilder::route).
    #[must_use]
    pub fn route(mut self, matching: impl Into<RouteMatch>, route: impl Into<Route>) -> Self {
        self.routes.push((matching.into(), route.into()));
        self
    }

    /// As [`Route::http_filter`], for all routes that say nothing else.
    #[must_use]
    pub fn http_filter(
        mut self,
        name: impl Into<Arc<str>>,
        filter: impl Filter<RouteBody> + 'static,
    ) -> Self {
        self.http_filters.set(name.into(), Some(Arc::new(filter)));
        self
    }

    /// As [`Route::without_http_filter`], for all routes that say nothing else.
    #[must_use]
    pub fn without_http_filter(mut self, name: impl Into<Arc<str>>) -> Self {
        self.http_filters.set(name.into(), None);
        self
    }
}
