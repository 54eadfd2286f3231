//! The sandbox's proxies as what this crate is: servers in this process.

use tokio::sync::oneshot;

use super::{BoxError, RunningProxy, StartProxy};
use crate::config;
use crate::server::{Command, Server, ServerOptions};

/// Starts each proxy as a [`Server`] of this process. One that is told to end on its admin port ends
/// alone, as a container would.
#[derive(Clone, Debug, Default)]
pub struct InProcess {
    options: ServerOptions,
}

impl InProcess {
    /// With these options for each of them.
    pub fn new(options: ServerOptions) -> Self {
        Self { options }
    }
}

impl StartProxy for InProcess {
    async fn start(&self, bootstrap: &str, name: &str) -> Result<RunningProxy, BoxError> {
        let bootstrap = config::load_str(name, bootstrap)?;
        let server = Server::start(bootstrap, self.options.clone()).await?;
        let admin = server.admin_address().ok_or("the bootstrap has no admin address")?;
        let (end, told) = oneshot::channel();
        let running = tokio::spawn(run(server, told));
        Ok(RunningProxy::new(admin, move || async move {
            // Nobody hears it where the server has ended already.
            let _ = end.send(());
            let _ = running.await;
        }))
    }
}

/// Until it is told to end, here or on its admin port.
async fn run(mut server: Server, told: oneshot::Receiver<()>) {
    let (mut commands, logs) = (server.commands(), server.log_reopener());
    let quit = async {
        while commands.next().await == Command::ReopenLogs {
            logs.reopen();
        }
    };
    tokio::select! {
        told = told => {
            if told.is_err() {
                // Whoever held it is gone: it is cut off.
                return;
            }
        }
        () = quit => {}
    }
    server.shutdown().await;
}
