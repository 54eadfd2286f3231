//! What the admin pages show and do: handles that whoever runs the proxy puts in.
//!
//! Every view is a trait with one or a few methods that answer "how is it now?", called when a
//! page is asked for. A view that is not set shows as empty.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value};

use super::status::{
    CertificateStatus, ClusterStatus, DrainOptions, ListenerStatus, LogLevel, ServerInfo,
};
use crate::runtime::LayeredRuntime;
use crate::stats::server::{ServerReading, ServerStats};
use crate::stats::{Registry, every};

/// Everything the admin app needs. Only the registry is a must:
///
/// ```
/// use front_proxy::admin::{AdminState, router};
/// use front_proxy::stats::Registry;
///
/// let state = AdminState::new(Registry::new(1));
/// let app: axum::Router = axum::Router::new().nest("/proxy", router(state));
/// # let _ = app;
/// ```
#[derive(Clone, Debug)]
pub struct AdminState {
    pub(super) stats: Registry,
    pub(super) server_stats: Option<Arc<ServerStats>>,
    pub(super) server: Arc<dyn ServerView>,
    pub(super) clusters: Arc<dyn ClusterView>,
    pub(super) listeners: Arc<dyn ListenerView>,
    pub(super) config: Arc<dyn ConfigView>,
    pub(super) control: Arc<dyn Control>,
    pub(super) runtime: Option<Arc<LayeredRuntime>>,
    pub(super) trusted_hosts: Arc<[String]>,
    pub(super) on_loopback: bool,
    flush_on_request: bool,
}

impl AdminState {
    /// Pages over `stats`, with nothing else to show or to do. The server counts as live, from now on.
    pub fn new(stats: Registry) -> Self {
        Self {
            stats,
            server_stats: None,
            server: Arc::new(Unnamed { since: Instant::now() }),
            clusters: Arc::new(Nothing),
            listeners: Arc::new(Nothing),
            config: Arc::new(Nothing),
            control: Arc::new(Nothing),
            runtime: None,
            trusted_hosts: Arc::default(),
            on_loopback: false,
            flush_on_request: false,
        }
    }

    /// Shows the server, and keeps its `server.*` stats up to date whenever stats are asked for.
    #[must_use]
    pub fn server(mut self, view: Arc<dyn ServerView>, stats: ServerStats) -> Self {
        self.server = view;
        self.server_stats = Some(Arc::new(stats));
        self
    }

    /// Shows clusters: those of a `Vec<Cluster>`, say.
    #[must_use]
    pub fn clusters(mut self, view: impl ClusterView + 'static) -> Self {
        self.clusters = Arc::new(view);
        self
    }

    /// Shows listeners.
    #[must_use]
    pub fn listeners(mut self, view: Arc<dyn ListenerView>) -> Self {
        self.listeners = view;
        self
    }

    /// Shows configuration and certificates: of what [`from_config`](crate::from_config) gives, say.
    #[must_use]
    pub fn config(mut self, view: Arc<dyn ConfigView>) -> Self {
        self.config = view;
        self
    }

    /// Lets the pages that change something do so.
    #[must_use]
    pub fn control(mut self, control: Arc<dyn Control>) -> Self {
        self.control = control;
        self
    }

    /// Shows the values of a runtime, and overrides them where it has an `admin_layer`: those that
    /// services of [`from_config`](crate::from_config) follow, say.
    ///
    /// ```no_run
    /// use front_proxy::admin::{AdminState, router};
    /// use front_proxy::stats::Registry;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let bootstrap = front_proxy::config::load_file("envoy.yaml")?;
    /// let registry = Registry::default();
    /// let proxies = front_proxy::from_config(&bootstrap, &registry.scope()).await?;
    /// let state = AdminState::new(registry)
    ///     .runtime(proxies.runtime().clone())
    ///     .config(std::sync::Arc::new(proxies.clone()))
    ///     .clusters(proxies);
    /// let app: axum::Router = axum::Router::new().nest("/proxy", router(state));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn runtime(mut self, runtime: Arc<LayeredRuntime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Host names under which browsers may change something, and which are answered
    /// [`on_loopback`](Self::on_loopback), beside addresses, `localhost` and names without a dot. See
    /// [`router`](super::router).
    #[must_use]
    pub fn trusted_hosts(mut self, hosts: impl IntoIterator<Item = String>) -> Self {
        self.trusted_hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
        self
    }

    /// The pages are for this machine only, since they are served on one of its own addresses: what may
    /// come from a browser (it has an `Accept-Encoding`, which no page can keep a browser from sending)
    /// and is for another host than an address, `localhost`, a name without a dot or one of the
    /// [`trusted_hosts`](Self::trusted_hosts) is refused. Such a page has pointed its own name here (DNS
    /// rebinding), to read what it must not. Default no; a
    /// [`Server`](crate::server::Server) says yes where its admin address is a loopback one.
    #[must_use]
    pub fn on_loopback(mut self, yes: bool) -> Self {
        self.on_loopback = yes;
        self
    }

    /// Ends an interval of the stats whenever they are asked for, Envoy's `stats_flush_on_admin`.
    /// Otherwise that is up to [`flush_every`](Self::flush_every).
    #[must_use]
    pub fn flush_on_request(mut self, yes: bool) -> Self {
        self.flush_on_request = yes;
        self
    }

    /// Ends an interval of the stats each `interval`, for ever, with `server.*` up to date. Envoy's
    /// default is 5 s.
    pub async fn flush_every(self, interval: Duration) {
        every(interval, || {
            self.refresh_stats();
            self.stats.flush();
        })
        .await;
    }

    /// What a page of stats begins with.
    pub(super) fn stats_are_asked_for(&self) {
        self.refresh_stats();
        if self.flush_on_request {
            self.stats.flush();
        }
    }

    fn refresh_stats(&self) {
        let Some(stats) = &self.server_stats else {
            return;
        };
        let info = self.server.server_info();
        stats.refresh(&ServerReading {
            state: info.state,
            uptime: info.uptime,
            connections: info.connections,
            stats_lookups: self.stats.lookups().total(),
            days_until_first_cert_expiring: super::certs::days_until_first_expires(
                &self.config.certificates(),
            ),
        });
    }
}

/// The process as a whole.
pub trait ServerView: Debug + Send + Sync {
    /// How it is now.
    fn server_info(&self) -> ServerInfo;

    /// What start-up still waits for, by kind (`listener`, `cluster`).
    fn unready_targets(&self) -> BTreeMap<String, Vec<String>> {
        BTreeMap::new()
    }
}

/// The clusters.
#[diagnostic::on_unimplemented(
    message = "`{Self}` shows no clusters",
    label = "needs `ClusterView`",
    note = "`Vec<Cluster>` has it, and what `front_proxy::from_config` gives"
)]
pub trait ClusterView: Debug + Send + Sync {
    /// All clusters in the order in which to show them.
    fn clusters(&self) -> Vec<ClusterStatus>;
}

impl<V: ClusterView + ?Sized> ClusterView for Arc<V> {
    fn clusters(&self) -> Vec<ClusterStatus> {
        (**self).clusters()
    }
}

/// The listeners.
pub trait ListenerView: Debug + Send + Sync {
    /// All listeners that listen.
    fn listeners(&self) -> Vec<ListenerStatus>;
}

/// What was loaded.
pub trait ConfigView: Debug + Send + Sync {
    /// The bootstrap as it was read, in JSON. Secrets are blotted out before anyone sees it.
    fn bootstrap(&self) -> Value {
        Value::Object(Map::new())
    }

    /// When it was read.
    fn loaded_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    /// Certificates in use.
    fn certificates(&self) -> Vec<CertificateStatus> {
        Vec::new()
    }
}

/// What can be done to the process from outside.
pub trait Control: Debug + Send + Sync {
    /// Stops listening, as `options` say.
    ///
    /// # Errors
    ///
    /// This process can't.
    fn drain_listeners(&self, options: DrainOptions) -> Result<(), Unsupported> {
        let _ = options;
        Err(Unsupported)
    }

    /// Ends the process once the answer is on its way.
    ///
    /// # Errors
    ///
    /// This process can't.
    fn quit(&self) -> Result<(), Unsupported> {
        Err(Unsupported)
    }

    /// Makes the server pass (`true`) or fail health checks.
    ///
    /// # Errors
    ///
    /// This process can't.
    fn set_healthy(&self, healthy: bool) -> Result<(), Unsupported> {
        let _ = healthy;
        Err(Unsupported)
    }

    /// Opens log files anew, after they were moved away.
    ///
    /// # Errors
    ///
    /// This process can't.
    fn reopen_logs(&self) -> Result<(), Unsupported> {
        Err(Unsupported)
    }

    /// Loggers with their levels, in the order in which to show them.
    fn loggers(&self) -> Vec<(String, LogLevel)> {
        Vec::new()
    }

    /// Sets the level of one logger, or of all for `None`.
    ///
    /// # Errors
    ///
    /// There is no logger of that name; `None` is none where there is no log.
    fn set_log_level(&self, logger: Option<&str>, level: LogLevel) -> Result<(), UnknownLogger> {
        let _ = (logger, level);
        Err(UnknownLogger)
    }
}

/// This process can't do that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported;

/// There is no logger of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLogger;

/// A process of which nothing is known but that it runs.
#[derive(Debug)]
struct Unnamed {
    since: Instant,
}

impl ServerView for Unnamed {
    fn server_info(&self) -> ServerInfo {
        ServerInfo {
            version: super::version::string(),
            uptime: self.since.elapsed(),
            ..ServerInfo::default()
        }
    }
}

/// Shows nothing and does nothing.
#[derive(Debug)]
struct Nothing;

impl ClusterView for Nothing {
    fn clusters(&self) -> Vec<ClusterStatus> {
        Vec::new()
    }
}

impl ListenerView for Nothing {
    fn listeners(&self) -> Vec<ListenerStatus> {
        Vec::new()
    }
}

impl ConfigView for Nothing {}

impl Control for Nothing {}
