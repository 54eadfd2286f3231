//! A bootstrap's routes inside an app of one's own, without its sockets.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::error::BoxError;
use front_proxy_layers::http_connection_manager::{
    Connection, ConnectionService, ResponseBody, ResponseFuture,
};
use front_proxy_layers::stats::Scope;
use http::{Request, Response};
use serde_json::Value;
use tower_service::Service;

use crate::access_log::{FlushOptions, LogFiles};
use crate::admin::{CertificateStatus, ClusterStatus, ClusterView, ConfigView};
use crate::cluster_manager::ClusterManager;
use crate::config::model::Bootstrap;
use crate::listener::{self, Surroundings};
use crate::runtime::LayeredRuntime;
use crate::server::{AbortOnDrop, Certificates, ConfigSource, StartError};

/// Makes services of a bootstrap's listeners: what each does to a request, without the sockets.
///
/// Clusters, routes, header rules, retries and access logs are as configured. What belongs to
/// connections stays with whoever accepts them: addresses, TLS, HTTP/1's and HTTP/2's limits, idle
/// timeouts. So does the admin address. A listener with several filter chains is its first.
///
/// Returns when each cluster has been resolved once. Stats go to `scope`; what the bootstrap says of
/// them is up to whoever made it: `Registry::with_rules(threads, bootstrap.stats.clone())` names and
/// chooses them as configured, [`Registry::add_sink`](crate::stats::Registry::add_sink) tells the
/// `stats_sinks`, and [`flush_every`](crate::stats::flush_every) does so in time.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use front_proxy_layers::stats::Scope;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let bootstrap = front_proxy::config::load_file("envoy.yaml")?;
/// let proxies = front_proxy::from_config(&bootstrap, &Scope::from_metrics()).await?;
/// let proxy = proxies.first().ok_or("no listener")?;
/// let app = Router::new().route("/", get(|| async { "the app" })).fallback_service(proxy);
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// axum::serve(listener, app).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// Something of the configuration can't be used on this machine, as a log file that can't be opened.
pub async fn from_config(bootstrap: &Bootstrap, scope: &Scope) -> Result<Embedded, StartError> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = Arc::new(LayeredRuntime::new(bootstrap, scope));
    let followed = &bootstrap.runtime;
    let clusters = ClusterManager::start(&bootstrap.clusters, followed, scope, threads).await?;
    let clusters = Arc::new(clusters);
    let disk = AbortOnDrop(tokio::spawn(Arc::clone(&runtime).follow_disk()));
    // Nobody can tell it to fail.
    let failing = Arc::default();
    let logs = LogFiles::new(scope, FlushOptions::default());
    // Those of listeners belong to connections.
    let certificates = Certificates::new(Vec::new(), Arc::clone(&clusters), scope.clone());
    let renewed = Arc::clone(&certificates);
    let watch = crate::tls::watch(certificates.watched(), move || renewed.refresh());
    let config = ConfigSource::new(bootstrap, certificates, SystemTime::now());
    let kept = Arc::new(Kept { logs, clusters, config, runtime, _watch: watch, _disk: disk });
    let mut proxies = Vec::with_capacity(bootstrap.listeners.len());
    for config in &bootstrap.listeners {
        let listener_scope = listener::stats_scope(config, config.address, scope);
        let around = Surroundings {
            clusters: &kept.clusters,
            node: &bootstrap.node,
            logs: Some(&kept.logs),
            stats: scope,
            accepts: false,
            failing: &failing,
        };
        let port = config.address.port();
        let chains = listener::filter_chains(config, port, around, &listener_scope, None)?;
        if let Some(chain) = chains.first() {
            let service = chain.manager.for_connection(Connection::default());
            let proxy = EmbeddedProxy { service, _kept: Arc::clone(&kept) };
            proxies.push((config.name.clone(), proxy));
        }
    }
    Ok(Embedded { proxies, kept })
}

/// The services of a bootstrap: see [`from_config`]. The admin pages show its clusters and what was
/// configured, if it is handed to [`AdminState::clusters`](crate::admin::AdminState::clusters) and
/// [`AdminState::config`](crate::admin::AdminState::config).
#[derive(Clone, Debug)]
pub struct Embedded {
    proxies: Vec<(String, EmbeddedProxy)>,
    kept: Arc<Kept>,
}

impl ClusterView for Embedded {
    fn clusters(&self) -> Vec<ClusterStatus> {
        self.kept.clusters.iter().map(|(_, cluster)| cluster.into()).collect()
    }
}

impl ConfigView for Embedded {
    fn bootstrap(&self) -> Value {
        self.kept.config.bootstrap()
    }

    fn loaded_at(&self) -> SystemTime {
        self.kept.config.loaded_at()
    }

    fn certificates(&self) -> Vec<CertificateStatus> {
        self.kept.config.certificates()
    }
}

impl Embedded {
    /// The cluster of this name, to send requests to without a route.
    pub fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.kept.clusters.get(name)
    }

    /// The values that the configuration follows as it goes.
    pub fn runtime(&self) -> &Arc<LayeredRuntime> {
        &self.kept.runtime
    }

    /// What the first listener does.
    pub fn first(&self) -> Option<EmbeddedProxy> {
        self.proxies.first().map(|(_, proxy)| proxy.clone())
    }

    /// What the listener of this name does.
    pub fn listener(&self, name: &str) -> Option<EmbeddedProxy> {
        self.proxies.iter().find(|(own, _)| own == name).map(|(_, proxy)| proxy.clone())
    }
}

/// What a listener does to requests, as a service that never fails: see [`from_config`].
///
/// Who is connected is taken from the request's extensions, where a
/// [`Peer`](front_proxy_layers::forwarded::Peer) may be. A
/// [`MountLayer`](front_proxy_layers::mount::MountLayer) around it makes one of axum's `ConnectInfo`, and
/// gives back the part of the path that `nest_service` takes.
#[derive(Clone)]
pub struct EmbeddedProxy {
    service: ConnectionService,
    _kept: Arc<Kept>,
}

/// What goes on as long as there is a service: discovery, the writing of logs, and the renewal of
/// certificates.
#[derive(Debug)]
struct Kept {
    clusters: Arc<ClusterManager>,
    config: ConfigSource,
    logs: LogFiles,
    runtime: Arc<LayeredRuntime>,
    _watch: crate::tls::Watch,
    _disk: AbortOnDrop,
}

impl<B> Service<Request<B>> for EmbeddedProxy
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <ConnectionService as Service<Request<B>>>::poll_ready(&mut self.service, cx)
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        self.service.call(request)
    }
}

impl fmt::Debug for EmbeddedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedProxy").finish_non_exhaustive()
    }
}
