//! The route table: virtual hosts by name, and in each the first route that matches.
//!
//! ```
//! use front_proxy_layers::route::{Found, PathMatch, RequestView, RequireTls, RouteMatch, RouteTable};
//!
//! let everything = || RouteMatch::new(PathMatch::Prefix("/".into()));
//! let table = RouteTable::builder()
//!     .virtual_host("shop", ["shop.example", "*.shop.example"], [(everything(), 1)])
//!     .virtual_host("rest", ["*"], [(everything(), 2)])
//!     .require_tls(RequireTls::All)
//!     .build()?;
//!
//! let (parts, ()) = http::Request::get("/").header("host", "EU.shop.example").body(())?.into_parts();
//! let found = table.find(&RequestView::of(&parts, 0));
//! assert!(matches!(found, Some(Found::Route { virtual_host: "shop", action: 1, .. })));
//!
//! let (parts, ()) = http::Request::get("/").header("host", "blog.example").body(())?.into_parts();
//! let found = table.find(&RequestView::of(&parts, 0));
//! assert!(matches!(found, Some(Found::RequireTls { virtual_host: "rest" })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::error::Error;
use std::fmt;

use super::domains::Domains;
use super::matching::RouteMatch;
use super::view::RequestView;

/// Virtual hosts with their routes; `A` is what a route does.
#[derive(Clone, Debug)]
pub struct RouteTable<A> {
    domains: Domains,
    hosts: Vec<VirtualHost<A>>,
    ignore_port: bool,
}

#[derive(Clone, Debug)]
struct VirtualHost<A> {
    name: String,
    require_tls: RequireTls,
    routes: Vec<(RouteMatch, A)>,
}

impl<A> RouteTable<A> {
    /// Starts a table without virtual hosts.
    pub fn builder() -> RouteTableBuilder<A> {
        RouteTableBuilder { hosts: Vec::new(), domains: Vec::new(), ignore_port: false }
    }

    /// The first route of the request's virtual host that matches.
    #[inline]
    pub fn find(&self, request: &RequestView<'_>) -> Option<Found<'_, A>> {
        self.get(self.place(request)?)
    }

    /// Where [`find`](Self::find) finds it: for those who look twice at one request, which may
    /// have been changed in between.
    #[inline]
    pub fn place(&self, request: &RequestView<'_>) -> Option<Place> {
        let authority =
            if self.ignore_port { without_port(request.authority) } else { request.authority };
        let at = self.domains.find(authority)?;
        let host = &self.hosts[at];
        if host.require_tls.redirects(request) {
            return Some(Place { host: at, route: None });
        }
        let path = request.path();
        let route =
            host.routes.iter().position(|(matching, _)| matching.matches_path(request, path))?;
        Some(Place { host: at, route: Some(route) })
    }

    /// What is at a place of this table.
    #[inline]
    pub fn get(&self, place: Place) -> Option<Found<'_, A>> {
        let host = self.hosts.get(place.host)?;
        let Some(route) = place.route else {
            return Some(Found::RequireTls { virtual_host: &host.name });
        };
        let (matching, action) = host.routes.get(route)?;
        Some(Found::Route { virtual_host: &host.name, matching, action })
    }

    /// Every action with the name of its virtual host, in order.
    pub fn actions(&self) -> impl Iterator<Item = (&str, &A)> {
        self.hosts
            .iter()
            .flat_map(|host| host.routes.iter().map(|(_, action)| (host.name.as_str(), action)))
    }
}

/// A place in a [`RouteTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    host: usize,
    /// None where the virtual host wants TLS first.
    route: Option<usize>,
}

/// What a request's place in the table says.
#[derive(Debug)]
pub enum Found<'t, A> {
    /// A route matched.
    Route {
        /// The name of its virtual host.
        virtual_host: &'t str,
        /// What it asked for; a prefix rewrite replaces what this matched.
        matching: &'t RouteMatch,
        /// What it does.
        action: &'t A,
    },
    /// The virtual host wants TLS and the request came without: redirect it, see
    /// [`tls_location`](super::redirect::tls_location).
    RequireTls {
        /// The name of the virtual host.
        virtual_host: &'t str,
    },
}

/// Which requests a virtual host sends to `https` (`require_tls`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequireTls {
    /// None.
    #[default]
    None,
    /// Those from outside: without `x-envoy-internal: true`.
    ExternalOnly,
    /// All.
    All,
}

impl RequireTls {
    fn redirects(self, request: &RequestView<'_>) -> bool {
        match self {
            Self::None => false,
            Self::ExternalOnly => request.forwarded_proto != "https" && !request.is_internal(),
            Self::All => request.forwarded_proto != "https",
        }
    }
}

/// Collects virtual hosts for a [`RouteTable`].
#[derive(Debug)]
pub struct RouteTableBuilder<A> {
    hosts: Vec<VirtualHost<A>>,
    domains: Vec<(String, usize)>,
    ignore_port: bool,
}

impl<A> RouteTableBuilder<A> {
    /// Adds a virtual host. Domains are `exact`, `*suffix`, `prefix*` or `*`; a port in the
    /// request's authority takes part in the comparison.
    #[must_use]
    pub fn virtual_host<D: Into<String>>(
        mut self,
        name: impl Into<String>,
        domains: impl IntoIterator<Item = D>,
        routes: impl IntoIterator<Item = (RouteMatch, A)>,
    ) -> Self {
        let at = self.hosts.len();
        self.domains.extend(domains.into_iter().map(|domain| (domain.into(), at)));
        self.hosts.push(VirtualHost {
            name: name.into(),
            require_tls: RequireTls::None,
            routes: routes.into_iter().collect(),
        });
        self
    }

    /// Sets `require_tls` of the virtual host added last.
    #[must_use]
    pub fn require_tls(mut self, require_tls: RequireTls) -> Self {
        if let Some(host) = self.hosts.last_mut() {
            host.require_tls = require_tls;
        }
        self
    }

    /// Compares domains without the request's port (`ignore_port_in_host_matching`).
    #[must_use]
    pub fn ignore_port(mut self, ignore_port: bool) -> Self {
        self.ignore_port = ignore_port;
        self
    }

    /// Builds the table; no domain may appear twice.
    ///
    /// # Errors
    ///
    /// One does.
    pub fn build(self) -> Result<RouteTable<A>, RouteTableError> {
        let mut domains = Domains::default();
        for (domain, host) in &self.domains {
            domains.insert(domain, *host)?;
        }
        Ok(RouteTable { domains, hosts: self.hosts, ignore_port: self.ignore_port })
    }
}

/// Why a [`RouteTable`] can't be built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteTableError {
    /// A domain, compared without case, belongs to two virtual hosts or to one twice.
    DuplicateDomain {
        /// The domain as it was given the second time.
        domain: String,
    },
}

impl fmt::Display for RouteTableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateDomain { domain } => {
                write!(f, "the domain `{domain}` appears more than once")
            }
        }
    }
}

impl Error for RouteTableError {}

/// Host and port apart, the port with its colon; an IPv6 address keeps its brackets.
pub(super) fn split_port(authority: &str) -> (&str, &str) {
    let colon = if authority.starts_with('[') {
        authority.rfind("]:").map(|bracket| bracket + 1)
    } else {
        authority.rfind(':')
    };
    authority.split_at(colon.unwrap_or(authority.len()))
}

fn without_port(authority: &str) -> &str {
    split_port(authority).0
}

#[cfg(test)]
mod tests;
