//! Commands that run something: the proxy, the sandbox, the demo app.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use super::arguments::{SandboxArgs, SandboxCommand};
use super::log::{self, Level, LogLevels};
use super::{Options, complain};
use crate::access_log::FlushOptions;
use crate::admin::{LogLevel, UnknownLogger};
use crate::config::model::Bootstrap;
use crate::sandbox::{self, InProcess};
use crate::server::{Command, LogControl, Server, ServerOptions};
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
    let server_options = ServerOptions {
        concurrency: usize::try_from(options.concurrency).unwrap_or(1),
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
        log: Some(log),
    };
    let address_path = options.admin_address_path.clone();
    block_on(async move {
        // Before any port is open: whoever waits for one may send a signal at once.
        let stop = service::stop_signal();
        let reopen = ReopenSignal::new();
        let mut server = match Server::start(bootstrap, server_options).await {
            Ok(server) => server,
            Err(error) => return fail(&error.to_string()),
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
        until_told_to_end(&mut server, stop, reopen).await;
        tracing::info!(target: "main", "ending: waiting for requests under way");
        tokio::select! {
            () = server.shutdown() => {}
            // Asked again: don't wait.
            () = service::stop_signal() => {}
        }
        ExitCode::SUCCESS
    })
}

async fn until_told_to_end(
    server: &mut Server,
    stop: impl Future<Output = ()>,
    mut reopen: ReopenSignal,
) {
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            () = reopen.next() => server.reopen_logs(),
            command = server.command() => match command {
                Command::Quit => return,
                Command::ReopenLogs => server.reopen_logs(),
            },
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
        None => block_on(async move {
            match sandbox::run(args.options, InProcess).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error.to_string()),
            }
        }),
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
        self.levels().into_iter().map(|(name, level)| (name.to_owned(), level.into())).collect()
    }

    fn set_level(&self, logger: Option<&str>, level: LogLevel) -> Result<(), UnknownLogger> {
        match logger {
            None => self.set_all(level.into()),
            Some(name) if !self.set(name, level.into()) => return Err(UnknownLogger),
            Some(_) => {}
        }
        Ok(())
    }
}

macro_rules! same_levels {
    ($($level:ident),*) => {
        impl From<Level> for LogLevel {
            fn from(level: Level) -> Self {
                match level {
                    $(Level::$level => Self::$level,)*
                }
            }
        }

        impl From<LogLevel> for Level {
            fn from(level: LogLevel) -> Self {
                match level {
                    $(LogLevel::$level => Self::$level,)*
                }
            }
        }
    };
}

same_levels!(Trace, Debug, Info, Warning, Error, Critical, Off);
