//! A whole proxy: from a validated bootstrap to open listeners, and to its end.
//!
//! ```
//! use front_proxy::config::load_str;
//! use front_proxy::server::{Server, ServerOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = "admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }";
//! let server = Server::start(load_str("bootstrap.yaml", text)?, ServerOptions::default()).await?;
//! println!("http://{}/ready", server.admin_address().ok_or("no admin")?);
//! server.shutdown().await;
//! # Ok(()) }
//! ```

mod certificates;
mod control;
mod views;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use front_proxy_layers::stats::Scope;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::access_log::{FlushOptions, LogFiles};
use crate::admin::{self, AdminHandle, AdminState, LogLevel, UnknownLogger};
use crate::cluster_manager::{BuildError, ClusterManager};
use crate::config::model::{self, Bootstrap, StatsFlush};
use crate::listener::{self, BindError, Listener, ListenerStats, Sharing, Surroundings};
use crate::runtime::LayeredRuntime;
use crate::shutdown::{Phase, Shutdown};
use crate::stats::server::{ServerState, ServerStats};
use crate::stats::{Registry, StatsdSink, absent};
use crate::tls;
use crate::watchdog::{self, Watchdog};
use crate::workers::{self, Sockets};

pub(crate) use certificates::Certificates;
use control::ServerControl;
pub(crate) use views::ConfigSource;
use views::ServerStatus;

/// What is not in the bootstrap but on the command line.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// `--concurrency`: workers.
    pub concurrency: usize,
    /// How long requests under way may take when the process ends.
    pub shutdown_time: Duration,
    /// How long `POST /drain_listeners?graceful` lets connections come in.
    pub drain_time: Duration,
    /// When access logs are written out.
    pub log_flush: FlushOptions,
    /// All command line options as `/server_info` shows them.
    pub command_line: Map<String, Value>,
    /// The log of the process, where the admin app may change its levels.
    pub log: Option<Arc<dyn LogControl>>,
}

/// The levels of the process's log. Whoever installed the log knows how to change them.
pub trait LogControl: fmt::Debug + Send + Sync {
    /// Loggers with their levels, in the order in which to show them.
    fn loggers(&self) -> Vec<(String, LogLevel)>;

    /// Sets the level of one logger, or of all for `None`.
    ///
    /// # Errors
    ///
    /// There is no logger of that name.
    fn set_level(&self, logger: Option<&str>, level: LogLevel) -> Result<(), UnknownLogger>;
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            concurrency: 1,
            shutdown_time: DEFAULT_SHUTDOWN_TIME,
            drain_time: DEFAULT_DRAIN_TIME,
            log_flush: FlushOptions::default(),
            command_line: Map::new(),
            log: None,
        }
    }
}

/// Longer than any request takes by default (a route's timeout is 15 s), shorter than Kubernetes
/// waits by default before it kills (30 s).
pub const DEFAULT_SHUTDOWN_TIME: Duration = Duration::from_secs(20);

/// Envoy's `--drain-time-s`.
pub const DEFAULT_DRAIN_TIME: Duration = Duration::from_secs(600);

/// A running proxy.
///
/// Its discovery and its admin app run on the tokio runtime that started it, its listeners on
/// threads of its own.
#[derive(Debug)]
pub struct Server {
    shutdown: Arc<Shutdown>,
    workers: Vec<JoinHandle<()>>,
    listeners: Vec<Arc<Listener>>,
    admin: Option<(SocketAddr, AdminHandle)>,
    status: Arc<ServerStatus>,
    commands: Commands,
    /// Whether they were taken.
    obeyed: Arc<AtomicBool>,
    shutdown_time: Duration,
    registry: Registry,
    /// Closed when everything else is: the end of a connection may log its last request.
    log_files: Arc<LogFiles>,
    _clusters: Arc<ClusterManager>,
    _flush: Option<AbortOnDrop>,
    _disk: AbortOnDrop,
    _watch: tls::Watch,
    _watchdog: Watchdog,
    _pulse: Option<AbortOnDrop>,
}

/// Opens the log files of a [`Server`] anew, as long as it has any.
#[derive(Clone, Debug)]
pub struct LogReopener(Weak<LogFiles>);

impl LogReopener {
    /// They have been moved away.
    pub fn reopen(&self) {
        if let Some(files) = self.0.upgrade() {
            files.reopen();
        }
    }
}

/// What the admin app asks of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `POST /quitquitquit`
    Quit,
    /// `POST /reopen_logs`
    ReopenLogs,
}

/// What the admin app asks of the process, one after the other: see [`Server::commands`].
#[derive(Debug)]
pub struct Commands(Option<mpsc::UnboundedReceiver<Command>>);

impl Commands {
    /// The next one. Once the server is gone none will come.
    pub async fn next(&mut self) -> Command {
        if let Some(commands) = &mut self.0
            && let Some(command) = commands.recv().await
        {
            return command;
        }
        std::future::pending().await
    }
}

/// Why a proxy did not start.
#[derive(Debug)]
pub struct StartError(Box<dyn std::error::Error + Send + Sync>);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

macro_rules! start_error_from {
    ($($source:ty),*) => {$(
        impl From<$source> for StartError {
            fn from(error: $source) -> Self {
                Self(error.into())
            }
        }
    )*};
}

start_error_from!(std::io::Error, String, BindError, BuildError);

impl Server {
    /// Starts a proxy. Returns when its listeners are open: clusters have been resolved once.
    ///
    /// # Errors
    ///
    /// A port is taken, or something of the configuration can't be used on this machine.
    pub async fn start(bootstrap: Bootstrap, options: ServerOptions) -> Result<Self, StartError> {
        let began = Instant::now();
        let workers = options.concurrency.max(1);
        let registry = Registry::with_rules(workers, bootstrap.stats.clone());
        for sink in &bootstrap.stats_sinks {
            registry.add_sink(StatsdSink::new(sink.clone())?);
        }
        let scope = registry.scope();
        let shutdown = Arc::new(Shutdown::new());
        let status = Arc::new(ServerStatus::new(&bootstrap.node, &options));
        let (commands, received) = mpsc::unbounded_channel();
        let obeyed = Arc::new(AtomicBool::new(false));

        // The admin port first: whoever waits for the listeners can see there what they wait for.
        let admin_socket = match &bootstrap.admin {
            Some(admin) => {
                listener::bind("admin", admin.address, 1, Sharing::OneSocket, None)?.pop()
            }
            None => None,
        };
        let runtime = Arc::new(LayeredRuntime::new(&bootstrap, &scope));
        let followed = &bootstrap.runtime;
        let clusters =
            ClusterManager::start(&bootstrap.clusters, followed, &scope, workers).await?;
        let clusters = Arc::new(clusters);
        // Envoy reads the layers once more when it has its clusters.
        runtime.load();
        let disk = AbortOnDrop(tokio::spawn(Arc::clone(&runtime).follow_disk()));
        let concurrency = u32::try_from(workers).unwrap_or(u32::MAX);
        absent::process(&scope);
        let unknown = scope.child("server").counter("static_unknown_fields");
        unknown.increment(bootstrap.unknown_fields);
        count_deprecated(&bootstrap, &scope.child("runtime"));
        // Envoy says of these what it found in the configuration, also if it is nothing.
        for name in ["dynamic_unknown_fields", "wip_protos"] {
            scope.child("server").counter(name).increment(0);
        }
        let (watched, pulses) = watchdog::threads(&scope, workers);
        let mut pulses = pulses.into_iter();
        let pulse = pulses.next().map(|pulse| AbortOnDrop(tokio::spawn(pulse.keep())));
        let log_files = Arc::new(LogFiles::new(&scope, options.log_flush));
        let (listeners, sockets) =
            open_listeners(&bootstrap, &clusters, &log_files, &scope, workers, status.failing())?;
        status.listen(&listeners);
        let scopes = bootstrap.listeners.iter().zip(&listeners).map(|(config, listener)| {
            (Arc::clone(listener), listener::stats_scope(config, listener.address, &scope))
        });
        let certificates =
            Certificates::new(scopes.collect(), Arc::clone(&clusters), scope.clone());
        let renewed = Arc::clone(&certificates);
        let watch = tls::watch(certificates.watched(), move || renewed.refresh());
        let server_stats = ServerStats::new(&scope, concurrency, admin::version::number());
        let handles = sockets
            .into_iter()
            .zip(pulses)
            .enumerate()
            .map(|(index, (sockets, pulse))| {
                workers::start(index, sockets, shutdown.signal(), pulse)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let watchdog = Watchdog::start(watched)?;
        status.set(ServerState::Live);
        server_stats.initialized(began.elapsed());
        let control = ServerControl::new(
            Arc::clone(&shutdown),
            Arc::clone(&status),
            commands,
            Arc::clone(&obeyed),
            options.log.clone(),
            options.drain_time,
        );
        let state = AdminState::new(registry.clone())
            .server(Arc::clone(&status) as _, server_stats)
            .clusters(views::Clusters(Arc::clone(&clusters)))
            .listeners(Arc::new(views::Listeners(listeners.clone())))
            .config(Arc::new(ConfigSource::new(&bootstrap, certificates, SystemTime::now())))
            .control(Arc::new(control))
            .runtime(runtime)
            .on_loopback(bootstrap.admin.as_ref().is_some_and(|a| a.address.ip().is_loopback()))
            .flush_on_request(bootstrap.stats_flush == StatsFlush::OnAdmin);
        let flush = match bootstrap.stats_flush {
            StatsFlush::Every(interval) => {
                Some(AbortOnDrop(tokio::spawn(state.clone().flush_every(interval))))
            }
            StatsFlush::OnAdmin => None,
        };
        let admin = match admin_socket {
            None => None,
            Some(socket) => {
                let address = socket.local_addr()?;
                let handle = AdminHandle::new();
                let (router, handle_of) = (admin::router(state), handle.clone());
                let scope = scope.clone();
                tokio::spawn(async move {
                    let served = admin::serve(socket, router, handle_of, &scope).await;
                    if let Err(error) = served {
                        tracing::error!(%error, "the admin app has ended");
                    }
                });
                Some((address, handle))
            }
        };
        Ok(Self {
            shutdown,
            workers: handles,
            listeners,
            admin,
            status,
            commands: Commands(Some(received)),
            obeyed,
            shutdown_time: options.shutdown_time,
            registry,
            log_files,
            _clusters: clusters,
            _flush: flush,
            _disk: disk,
            _watch: watch,
            _watchdog: watchdog,
            _pulse: pulse,
        })
    }

    /// Where the admin app listens.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(address, _)| *address)
    }

    /// Where the listeners listen, by name.
    pub fn listeners(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.listeners.iter().map(|listener| (listener.name.as_str(), listener.address))
    }

    /// The stats.
    pub fn stats(&self) -> &Registry {
        &self.registry
    }

    /// What the admin app asks of the process, also while the server ends. They can be taken once, by
    /// whoever obeys them: before that the admin app says that it can't.
    pub fn commands(&mut self) -> Commands {
        self.obeyed.store(true, Ordering::Relaxed);
        std::mem::replace(&mut self.commands, Commands(None))
    }

    /// Opens log files anew, after they were moved away.
    pub fn reopen_logs(&self) {
        self.log_files.reopen();
    }

    /// What opens log files anew, also while the server ends.
    pub fn log_reopener(&self) -> LogReopener {
        LogReopener(Arc::downgrade(&self.log_files))
    }

    /// Ends gracefully: closes the listeners and idle connections, lets requests under way finish,
    /// and cuts what is left after [`ServerOptions::shutdown_time`].
    pub async fn shutdown(self) {
        self.shutdown_or_cut(std::future::pending()).await;
    }

    /// The same, but what is left is cut as soon as `cut` is done. What is cut is logged, too.
    pub async fn shutdown_or_cut(self, cut: impl Future<Output = ()>) {
        self.status.set(ServerState::Draining);
        self.shutdown.advance(Phase::Draining);
        let workers = self.workers;
        // Joining threads blocks; the runtime goes on with the admin app meanwhile.
        let mut joined = tokio::task::spawn_blocking(move || {
            for worker in workers {
                if worker.join().is_err() {
                    tracing::error!("a worker has panicked");
                }
            }
        });
        let finished = tokio::select! {
            _ = &mut joined => true,
            () = tokio::time::sleep(self.shutdown_time) => false,
            () = cut => false,
        };
        if !finished {
            self.shutdown.advance(Phase::Stopped);
            let _ = joined.await;
        }
        if let Some((_, handle)) = self.admin {
            handle.shutdown();
        }
    }
}

/// Builds all that a server is made of, as [`Server::start`] does, and opens, resolves and starts
/// nothing.
///
/// The reader has found every mistake of the file that has a place. This makes sure that what it
/// lets through can be served.
///
/// # Errors
///
/// Something can't be built.
pub fn check(bootstrap: &Bootstrap) -> Result<(), StartError> {
    let stats = Scope::noop();
    let clusters = ClusterManager::build(&bootstrap.clusters, &bootstrap.runtime, &stats, 1)?;
    let failing = Arc::default();
    for config in &bootstrap.listeners {
        let around = Surroundings {
            clusters: &clusters,
            node: &bootstrap.node,
            logs: None,
            stats: &stats,
            accepts: true,
            failing: &failing,
        };
        build_listener(config, config.address, around, 1)?;
    }
    Ok(())
}

#[derive(Debug)]
pub(crate) struct AbortOnDrop(pub(crate) tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Fields that Envoy calls deprecated; that they are read is all the same to us.
fn count_deprecated(bootstrap: &Bootstrap, runtime: &Scope) {
    let uses = runtime.counter("deprecated_feature_use");
    let seen = runtime.gauge("deprecated_feature_seen_since_process_start");
    for field in bootstrap.deprecated.iter().filter(|field| field.counted > 0) {
        uses.increment(field.counted);
        seen.increment(field.counted as f64);
    }
}

/// Opens every listener once for each worker.
fn open_listeners(
    bootstrap: &Bootstrap,
    clusters: &ClusterManager,
    logs: &LogFiles,
    scope: &Scope,
    workers: usize,
    failing: &Arc<AtomicBool>,
) -> Result<(Vec<Arc<Listener>>, Vec<Sockets>), StartError> {
    let mut sockets: Vec<Sockets> = (0..workers).map(|_| Vec::new()).collect();
    let mut listeners = Vec::with_capacity(bootstrap.listeners.len());
    let stats = scope.child("listener_manager");
    for config in &bootstrap.listeners {
        let what = if config.name.is_empty() {
            "listener".to_owned()
        } else {
            format!("listener `{}`", config.name)
        };
        let sharing = if config.reuse_port { Sharing::ReusePort } else { Sharing::OneSocket };
        let bound = listener::bind(&what, config.address, workers, sharing, config.backlog)?;
        let address = match bound.first() {
            Some(socket) => socket.local_addr()?,
            None => config.address,
        };
        let node = &bootstrap.node;
        let logs = Some(logs);
        let around = Surroundings { clusters, node, logs, stats: scope, accepts: true, failing };
        let listener = Arc::new(build_listener(config, address, around, workers)?);
        for (worker, socket) in bound.into_iter().enumerate() {
            if let Some(sockets) = sockets.get_mut(worker) {
                sockets.push((Arc::clone(&listener), socket));
            }
        }
        stats.counter("listener_added").increment(1);
        stats.counter("listener_create_success").increment(workers as u64);
        listeners.push(listener);
    }
    stats.gauge("total_listeners_active").set(listeners.len() as f64);
    drop(stats.gauge("total_listeners_draining"));
    stats.gauge("total_listeners_warming").set(0.0);
    stats.gauge("workers_started").set(1.0);
    drop(stats.counter("listener_stopped"));
    Ok((listeners, sockets))
}

fn build_listener(
    config: &model::Listener,
    address: SocketAddr,
    around: Surroundings<'_>,
    workers: usize,
) -> Result<Listener, StartError> {
    let listener_scope = listener::stats_scope(config, address, around.stats);
    let tls = config.filter_chains.iter().any(|chain| chain.tls.is_some());
    absent::listener(&listener_scope, tls);
    let stats = ListenerStats::new(&listener_scope, workers, tls);
    Ok(Listener {
        name: if config.name.is_empty() { unnamed() } else { config.name.clone() },
        address,
        connection_limit: config.connection_limit.clone(),
        inbound: config.inbound,
        connections: std::sync::atomic::AtomicU64::new(0),
        chains: listener::filter_chains(
            config,
            address.port(),
            around,
            &listener_scope,
            stats.ssl.as_ref(),
        )?,
        stats,
    })
}

/// Envoy gives a listener without a name a random UUID for one.
fn unnamed() -> String {
    let id = front_proxy_layers::request_id::new_id();
    id.to_str().unwrap_or_default().to_owned()
}
