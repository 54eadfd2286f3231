//! A whole proxy: from a validated bootstrap to open listeners, and to its end.

mod certificates;
mod control;
mod views;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use front_proxy_layers::stats::Scope;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::access_log::{FlushOptions, LogFiles};
use crate::admin::{self, AdminHandle, AdminState, LogLevel, UnknownLogger};
use crate::cluster_manager::{BuildError, ClusterManager};
use crate::config::model::{self, Bootstrap};
use crate::listener::{self, BindError, Listener, ListenerStats, Surroundings};
use crate::shutdown::{Phase, Shutdown};
use crate::stats::server::{ServerState, ServerStats};
use crate::stats::{Registry, absent};
use crate::workers::{self, Sockets};

use control::ServerControl;
use views::{ConfigSource, ServerStatus};

/// What is not in the bootstrap but on the command line.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// `--concurrency`: workers.
    pub concurrency: usize,
    /// How long connections may take to finish when the process ends.
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
    /// Loggers with their levels, by name.
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
            drain_time: DEFAULT_DRAIN_TIME,
            log_flush: FlushOptions::default(),
            command_line: Map::new(),
            log: None,
        }
    }
}

/// Long enough for requests under way, short enough for the patience of process managers.
pub const DEFAULT_DRAIN_TIME: Duration = Duration::from_secs(20);

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
    commands: mpsc::UnboundedReceiver<Command>,
    drain_time: Duration,
    registry: Registry,
    /// Closed when everything else is: the end of a connection may log its last request.
    log_files: LogFiles,
    _clusters: Arc<ClusterManager>,
    _flush: AbortOnDrop,
}

/// What the admin app asks of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `POST /quitquitquit`
    Quit,
    /// `POST /reopen_logs`
    ReopenLogs,
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
        let workers = options.concurrency.max(1);
        let registry = Registry::new(workers);
        let scope = registry.scope();
        let flush = tokio::spawn(crate::stats::flush_every(registry.clone(), FLUSH_INTERVAL));
        let shutdown = Arc::new(Shutdown::new());
        let status = Arc::new(ServerStatus::new(&bootstrap.node, &options));
        let (commands, received) = mpsc::unbounded_channel();

        // The admin port first: whoever waits for the listeners can see there what they wait for.
        let admin_socket = match &bootstrap.admin {
            Some(admin) => listener::bind("admin", admin.address, 1, None)?.pop(),
            None => None,
        };
        let clusters = ClusterManager::start(&bootstrap.clusters, &scope, workers).await?;
        let clusters = Arc::new(clusters);
        runtime_stats(&bootstrap, &scope);
        absent::process(&scope);
        let log_files = LogFiles::new(&scope, options.log_flush);
        let (listeners, sockets) =
            open_listeners(&bootstrap, &clusters, &log_files, &scope, workers, status.failing())?;
        status.listen(&listeners);
        let admin = match admin_socket {
            None => None,
            Some(socket) => {
                let address = socket.local_addr()?;
                let control = ServerControl::new(
                    Arc::clone(&shutdown),
                    Arc::clone(&status),
                    commands,
                    options.log.clone(),
                    options.drain_time,
                );
                let concurrency = u32::try_from(workers).unwrap_or(u32::MAX);
                let version = admin::version::number();
                let state = AdminState::new(registry.clone())
                    .server(
                        Arc::clone(&status) as _,
                        ServerStats::new(&scope, concurrency, version),
                    )
                    .clusters(Arc::new(views::Clusters(Arc::clone(&clusters))))
                    .listeners(Arc::new(views::Listeners(listeners.clone())))
                    .config(Arc::new(ConfigSource::new(&bootstrap, SystemTime::now())))
                    .control(Arc::new(control));
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
        status.set(ServerState::Live);
        let handles = sockets
            .into_iter()
            .enumerate()
            .map(|(index, sockets)| workers::start(index, sockets, shutdown.signal()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            shutdown,
            workers: handles,
            listeners,
            admin,
            status,
            commands: received,
            drain_time: options.drain_time,
            registry,
            log_files,
            _clusters: clusters,
            _flush: AbortOnDrop(flush),
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

    /// The next thing that the admin app asks of the process.
    pub async fn command(&mut self) -> Command {
        match self.commands.recv().await {
            Some(command) => command,
            None => std::future::pending().await,
        }
    }

    /// Opens log files anew, after they were moved away.
    pub fn reopen_logs(&self) {
        self.log_files.reopen();
    }

    /// Ends gracefully: closes the listeners, lets requests under way finish, and cuts what is
    /// left when the drain time is over.
    pub async fn shutdown(self) {
        self.status.set(ServerState::Draining);
        self.shutdown.advance(Phase::Draining);
        let shutdown = Arc::clone(&self.shutdown);
        let drain_time = self.drain_time;
        let deadline = tokio::spawn(async move {
            tokio::time::sleep(drain_time).await;
            shutdown.advance(Phase::Stopped);
        });
        let workers = self.workers;
        // Joining threads blocks; the runtime goes on with the admin app meanwhile.
        let joined = tokio::task::spawn_blocking(move || {
            for worker in workers {
                if worker.join().is_err() {
                    tracing::error!("a worker has panicked");
                }
            }
        });
        let _ = joined.await;
        deadline.abort();
        if let Some((_, handle)) = self.admin {
            handle.shutdown();
        }
    }
}

/// Envoy's default of `stats_flush_interval`.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// `runtime.*`: the layers are those of the start.
fn runtime_stats(bootstrap: &Bootstrap, root: &Scope) {
    let scope = root.child("runtime");
    scope.counter("load_success").increment(1);
    // There is no runtime on disk, which might have one.
    scope.counter("override_dir_not_exists").increment(1);
    scope.gauge("num_keys").set(bootstrap.runtime.len() as f64);
    scope.gauge("num_layers").set(bootstrap.runtime_layers.len() as f64);
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
        let bound = listener::bind(&what, config.address, workers, config.backlog)?;
        let address = match bound.first() {
            Some(socket) => socket.local_addr()?,
            None => config.address,
        };
        let node = &bootstrap.node;
        let around = Surroundings { clusters, node, logs, stats: scope, failing };
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
    stats.gauge("total_listeners_draining").set(0.0);
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
    certificates::expirations(config, &listener_scope);
    Ok(Listener {
        name: if config.name.is_empty() { unnamed() } else { config.name.clone() },
        address,
        stats: ListenerStats::new(&listener_scope, workers, tls),
        connection_limit: config.connection_limit,
        connections: std::sync::atomic::AtomicU64::new(0),
        chains: listener::filter_chains(config, address.port(), around, &listener_scope)?,
    })
}

/// Envoy gives a listener without a name a random UUID for one.
fn unnamed() -> String {
    let id = front_proxy_layers::request_id::new_id();
    id.to_str().unwrap_or_default().to_owned()
}
