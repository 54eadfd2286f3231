//! What the admin app can do to a running proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::views::ServerStatus;
use super::{Command, LogControl};
use crate::admin::{Control, DrainOptions, LogLevel, UnknownLogger, Unsupported};
use crate::shutdown::{Shutdown, Whose};

#[derive(Debug)]
pub(super) struct ServerControl {
    shutdown: Arc<Shutdown>,
    status: Arc<ServerStatus>,
    commands: UnboundedSender<Command>,
    /// Whether anyone follows the commands.
    obeyed: Arc<AtomicBool>,
    log: Option<Arc<dyn LogControl>>,
    drain_time: Duration,
}

impl ServerControl {
    pub(super) fn new(
        shutdown: Arc<Shutdown>,
        status: Arc<ServerStatus>,
        commands: UnboundedSender<Command>,
        obeyed: Arc<AtomicBool>,
        log: Option<Arc<dyn LogControl>>,
        drain_time: Duration,
    ) -> Self {
        Self { shutdown, status, commands, obeyed, log, drain_time }
    }

    fn command(&self, command: Command) -> Result<(), Unsupported> {
        if !self.obeyed.load(Ordering::Relaxed) {
            return Err(Unsupported);
        }
        self.commands.send(command).map_err(|_| Unsupported)
    }
}

impl Control for ServerControl {
    fn drain_listeners(&self, options: DrainOptions) -> Result<(), Unsupported> {
        let whose = if options.inbound_only { Whose::Inbound } else { Whose::All };
        if !options.graceful {
            self.shutdown.close_listeners(whose);
            return Ok(());
        }
        self.shutdown.drain(whose);
        if !options.skip_exit {
            let (shutdown, drain_time) = (Arc::clone(&self.shutdown), self.drain_time);
            tokio::spawn(async move {
                tokio::time::sleep(drain_time).await;
                shutdown.close_listeners(whose);
            });
        }
        Ok(())
    }

    fn quit(&self) -> Result<(), Unsupported> {
        self.command(Command::Quit)
    }

    fn set_healthy(&self, healthy: bool) -> Result<(), Unsupported> {
        self.status.set_healthy(healthy);
        self.shutdown.ask_to_leave(!healthy);
        Ok(())
    }

    fn reopen_logs(&self) -> Result<(), Unsupported> {
        self.command(Command::ReopenLogs)
    }

    fn loggers(&self) -> Vec<(String, LogLevel)> {
        self.log.as_ref().map_or_else(Vec::new, |log| log.loggers())
    }

    fn set_log_level(&self, logger: Option<&str>, level: LogLevel) -> Result<(), UnknownLogger> {
        self.log.as_ref().ok_or(UnknownLogger)?.set_level(logger, level)
    }
}
