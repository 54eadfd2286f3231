//! The admin interface: what the proxy is doing, and a few levers.
//!
//! [`router`] makes an axum app of the handles in an [`AdminState`]. The binary serves it on the
//! bootstrap's `admin` address with [`serve`]; an app of its own mounts it wherever it likes:
//!
//! ```
//! use front_proxy::admin::{AdminState, router};
//! use front_proxy::stats::Registry;
//!
//! let stats = Registry::new(1);
//! let app = axum::Router::<()>::new().nest("/proxy", router(AdminState::new(stats)));
//! # let _ = app;
//! ```
//!
//! Paths, texts, codes and headers are Envoy's. So is this: **there is no password**. Whoever
//! reaches the address can read the configuration and stop the process, so keep it on loopback or
//! behind something that asks who is there. What a *browser* can be made to do from elsewhere is
//! limited, see [`router`].

mod state;
mod status;
mod of_cluster;
mod commands;
mod page;
mod guard;
mod help;
mod stats;
mod clusters;
mod listeners;
mod server_info;
mod config_dump;
mod certs;
mod runtime;
mod logging;
mod control;
mod serve;
mod traffic;
pub(crate) mod timestamp;
pub mod version;

use axum::Router;

pub use serve::{AdminHandle, serve};
pub use state::{
    AdminState, ClusterView, ConfigView, Control, ListenerView, ServerView, UnknownLogger,
    Unsupported,
};
pub use status::{
    CertificateDetails, CertificateStatus, ClusterStatus, DrainOptions, HealthFlag, HealthFlags,
    HostStats, HostStatus, ListenerStatus, LogLevel, OutlierStatus, PriorityLimits, RuntimeStatus,
    ServerInfo, SubjectAltName,
};

/// The admin pages as an axum app, to be served or nested.
///
/// Pages that change something answer to `POST` only, and not to every browser: a request with an
/// `Origin` (which browsers add to every `POST`) must come from a page of this same host, and the
/// host must be an address, `localhost`, a name without dots, or one of
/// [`AdminState::trusted_hosts`]. The first keeps other sites' forms out, the second sites that
/// point their own name at this address (DNS rebinding). Programs that send no `Origin`, as curl
/// and scrapers do, are not concerned.
///
/// It goes into an app with any state of its own:
///
/// ```
/// use axum::{Router, extract::State, routing::get};
/// use front_proxy::admin::{AdminState, router};
/// use front_proxy::stats::Registry;
///
/// let app: Router = Router::new()
///     .route("/", get(async |State(name): State<&'static str>| name))
///     .nest("/admin", router(AdminState::new(Registry::default())))
///     .with_state("my app");
/// # let _ = app;
/// ```
///
/// Below `nest("/admin", ..)`, axum takes `/admin` for the home page and `/admin/` for none of them;
/// below `nest_service("/admin", ..)` it is either.
pub fn router<S>(state: AdminState) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router_with(state, |_| true)
}

/// The same with a choice of pages: those of whose path (`/stats`, `/healthcheck/fail`) `wanted` says
/// so. The others are not there, in `/help` neither.
///
/// ```
/// use front_proxy::admin::{AdminState, router_with};
/// use front_proxy::stats::Registry;
///
/// // What a scraper and a load balancer need, and nothing that changes anything.
/// let state = AdminState::new(Registry::new(1));
/// let pages = router_with(state, |path| matches!(path, "/stats/prometheus" | "/ready"));
/// let app: axum::Router = axum::Router::new().nest("/proxy", pages);
/// # let _ = app;
/// ```
pub fn router_with<S>(state: AdminState, wanted: impl Fn(&str) -> bool) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    commands::router(state, wanted)
}
