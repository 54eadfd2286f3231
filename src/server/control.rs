//! What the admin app can do to a running proxy.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use super::views::ServerStatus;
use super::{Command, LogControl};
use crate::admin::{Control, DrainOptions, LogLevel, UnknownLogger, Unsupported};
use crate::shutdown::{Phase, Shutdown};

#[derive(Debug)]
pub(super) struct ServerControl {
    shutdown: Arc<Shutdown>,
    status: Arc<ServerStatus>,
    commands: UnboundedSender<Command>,
    log: Option<Arc<dyn LogControl>>,
}

impl ServerControl {
    pub(super) fn new(
        shutdown: Arc<Shutdown>,
        status: Arc<ServerStatus>,
        commands: UnboundedSender<Command>,
        log: Option<Arc<dyn LogControl>>,
    ) -> Self {
        Self { shutdown, status, commands, log }
    }
}

impl Control for ServerControl {
    fn drain_listeners(&self, options: DrainOptions) -> Result<(), Unsupported> {
        // Every listener is inbound: no bootstrap here gives a traffic direction.
        if !options.inbound_only {
            self.shutdown.advance(Phase::ListenersClosed);
        }
        Ok(())
    }

    fn quit(&self) -> Result<(), Unsupported> {
        self.commands.send(Command::Quit).map_err(|_| Unsupported)
    }

    fn set_healthy(&self, healthy: bool) -> Result<(), Unsupported> {
        self.status.set_healthy(healthy);
        Ok(())
    }

    fn reopen_logs(&self) -> Result<(), Unsupported> {
        self.commands.send(Command::ReopenLogs).map_err(|_| Unsupported)
    }

    fn loggers(&self) -> Vec<(String, LogLevel)> {
        self.log.as_ref().map_or_else(Vec::new, |log| log.loggers())
    }

    fn set_log_level(&self, logger: Option<&str>, level: LogLevel) -> Result<(), UnknownLogger> {
        self.log.as_ref().ok_or(UnknownLogger)?.set_level(logger, level)
    }
}
