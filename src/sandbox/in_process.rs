//! The sandbox's proxies as what this crate is: servers in this process.

use super::{BoxError, RunningProxy, StartProxy};
use crate::config;
use crate::server::{Server, ServerOptions};

/// Starts each proxy as a [`Server`] of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct InProcess;

impl StartProxy for InProcess {
    async fn start(&self, bootstrap: &str, name: &str) -> Result<RunningProxy, BoxError> {
        let bootstrap = config::load_str(name, bootstrap)?;
        let server = Server::start(bootstrap, ServerOptions::default()).await?;
        let admin = server.admin_address().ok_or("the bootstrap has no admin address")?;
        Ok(RunningProxy::new(admin, move || server.shutdown()))
    }
}
