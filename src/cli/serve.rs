//! Commands that run something: the proxy, the sandbox, the demo app.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use super::arguments::{SandboxArgs, SandboxCommand};
use super::log::{self, LogLevels};
use super::{Options, complain};
use crate::access_log::FlushOptions;
use crate::admin::{LogLevel, UnknownLogger};
use crate::config::model::{Bootstrap, Deprecated};
use crate::sandbox::{self, InProcess};
use crate::server::{
    Command, Commands, DEFAULT_SHUTDOWN_TIME, LogControl, LogReopener, Server, ServerOptions,
};
use crate::service;

/// Serves a bootstrap until the process is told to end.
pub(super) fn serve(bootstrap: Bootstrap, options: &Options) -> ExitCode {
    let log = match log::start(options) {
        Ok(log) => Arc::new(log),
        Err(error) => return fail(&format!("{}: {error}", options.log_path)),
    };
    if let Some(note) = options.without_effect_note() {
        tracing::warn!(target: "main", "{note}");
    }
    if !options.skip_deprecated_logs {
        for Deprecated { message, field, place, .. } in &bootstrap.deprecated {
            tracing::warn!(target: "misc", "{place}: deprecated field: '{message}.{field}'");
        }
    }
    let server_options = server_options(options, &log);
    let address_path = options.admin_address_path.clone();
    block_on(async move {
        // Before any port is open: whoever waits for one may send a signal at once.
        let mut signals = Signals::new(log);
        let started = signals.until_stop(None, Server::start(bootstrap, server_options)).await;
        let mut server = match started {
            None => return ExitCode::SUCCESS,
            Some(Err(error)) => return fail(&error.to_string()),
            Some(Ok(server)) => server,
        };
        if let Some(admin) = server.admin_address() {
            tracing::info!(target: "main", "admin address: {admin}");
            if !address_path.is_empty()
                && let Err(error) = std::fs::write(&address_path, admin.to_string())
            {
                tracing::error!(target: "main", "--admin-address-path {address_path}: {error}");
            }
        }
        for (name, address) in server.listeners() {
            tracing::info!(target: "main", "listener {name}: {address}");
        }
        let logs = server.log_reopener();
        let mut commands = server.commands();
        signals.until_end(&logs, &mut commands).await;
        tracing::info!(target: "main", "ending: waiting for requests under way");
        let mut again = Signals { stop: Box::pin(service::stop_signal()), ..signals };
        server
            .shutdown_or_cut(async move {
                again.until_end(&logs, &mut commands).await;
                tracing::warn!(target: "main", "told to end again: requests under way are cut");
            })
            .await;
        ExitCode::SUCCESS
    })
}

/// What a server is started with.
fn server_options(options: &Options, log: &Arc<LogLevels>) -> ServerOptions {
    ServerOptions {
        concurrency: usize::try_from(options.concurrency).unwrap_or(1),
        shutdown_time: options.shutdown_time.unwrap_or(DEFAULT_SHUTDOWN_TIME),
        drain_time: options.drain_time,
        log_flush: FlushOptions {
            interval: options.file_flush_interval,
            min_size: usize::try_from(options.file_flush_min_size)
                .unwrap_or(usize::MAX)
                .saturating_mul(1024),
        },
        command_line: match serde_json::to_value(options) {
            Ok(Value::Object(map)) => map,
            _ => serde_json::Map::new(),
        },
        log: Some(Arc::clone(log) as _),
    }
}

/// The signals that the process obeys.
struct Signals {
    stop: Pin<Box<dyn Future<Output = ()>>>,
    reopen: ReopenSignal,
    log: Arc<LogLevels>,
}

impl Signals {
    fn new(log: Arc<LogLevels>) -> Self {
        Self { stop: Box::pin(service::stop_signal()), reopen: ReopenSignal::new(), log }
    }

    /// Waits for something, `None` if the process is told to end before. Meanwhile log files are
    /// opened anew on request.
    async fn until_stop<T>(
        &mut self,
        logs: Option<&LogReopener>,
        other: impl Future<Output = T>,
    ) -> Option<T> {
        let mut other = std::pin::pin!(other);
        loop {
            tokio::select! {
                () = &mut self.stop => return None,
                done = &mut other => return Some(done),
                () = self.reopen.next() => self.reopen(logs),
            }
        }
    }

    /// Waits until the process is told to end, by a signal or from the admin port.
    async fn until_end(&mut self, logs: &LogReopener, commands: &mut Commands) {
        while let Some(Command::ReopenLogs) = self.until_stop(Some(logs), commands.next()).await {
            self.reopen(Some(logs));
        }
    }

    /// Opens the process's own log anew, and the access logs.
    fn reopen(&self, logs: Option<&LogReopener>) {
        if let Err(error) = self.log.reopen() {
            tracing::error!(target: "main", "the log can't be opened anew: {error}");
        }
        if let Some(logs) = logs {
            logs.reopen();
        }
    }
}

/// SIGUSR1, where there is such a thing: log files have been moved away.
struct ReopenSignal {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl ReopenSignal {
    fn new() -> Self {
        Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::user_defined1())
                .ok(),
        }
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal {
            signal.recv().await;
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// Runs the sandbox, or scales one that runs.
pub(super) fn sandbox(args: SandboxArgs) -> ExitCode {
    match args.command {
        None => {
            let options = match Options::of_sandbox() {
                Ok(options) => options,
                Err(why) => return fail(&why),
            };
            let log = match log::start(&options) {
                Ok(log) => Arc::new(log),
                Err(error) => return fail(&error.to_string()),
            };
            let proxies = InProcess::new(server_options(&options, &log));
            block_on(async move {
                match sandbox::run(args.options, proxies).await {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => fail(&error.to_string()),
                }
            })
        }
        Some(SandboxCommand::Scale { scale, control_port }) => block_on(async move {
            let control = SocketAddr::from((Ipv4Addr::LOCALHOST, control_port));
            for scale in scale {
                match sandbox::scale(control, &scale.service, scale.instances).await {
                    Ok(text) => _ = writeln!(std::io::stdout(), "{}", text.trim_end()),
                    Err(error) => return fail(&error.to_string()),
                }
            }
            ExitCode::SUCCESS
        }),
    }
}

/// Runs the demo app.
pub(super) fn service(options: service::Options) -> ExitCode {
    block_on(async move {
        match service::run(options).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string()),
        }
    })
}

fn block_on(future: impl Future<Output = ExitCode>) -> ExitCode {
    match runtime() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => fail(&format!("can't start: {error}")),
    }
}

/// Workers have runtimes of their own: this one carries the admin app, discovery and signals.
fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn fail(text: &str) -> ExitCode {
    complain(&format!("error: {text}"));
    ExitCode::FAILURE
}

impl LogControl for LogLevels {
    fn loggers(&self) -> Vec<(String, LogLevel)> {
        self.levels().into_iter().map(|(name, level)| (name.to_owned(), level)).collect()
    }

    fn set_level(&self, logger: Option<&str>, level: LogLevel) -> Result<(), UnknownLogger> {
        match logger {
            None => self.set_all(level),
            Some(name) if !self.set(name, level) => return Err(UnknownLogger),
            Some(_) => {}
        }
        Ok(())
    }
}
