//! What the sandbox asks of a proxy: start from a bootstrap, and stop.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Starts proxies.
pub trait StartProxy: Send + Sync + 'static {
    /// Starts a proxy from a bootstrap and returns when its listeners are open. `name` is for
    /// messages and logs.
    ///
    /// The bootstrap's admin port may be 0, which stands for any free one.
    fn start(
        &self,
        bootstrap: &str,
        name: &str,
    ) -> impl Future<Output = Result<RunningProxy, BoxError>> + Send;
}

/// A running proxy.
#[must_use = "a proxy that nobody shuts down is cut off"]
pub struct RunningProxy {
    admin: SocketAddr,
    shutdown: Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>,
}

impl RunningProxy {
    /// A proxy whose admin listens on `admin` and which ends by `shutdown`: no new connections,
    /// what is under way finishes, within the proxy's own drain time.
    pub fn new<F>(admin: SocketAddr, shutdown: impl FnOnce() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { admin, shutdown: Box::new(move || Box::pin(shutdown())) }
    }

    /// Where its admin listens.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Drains and ends it.
    pub async fn shutdown(self) {
        (self.shutdown)().await;
    }
}

impl fmt::Debug for RunningProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningProxy").field("admin", &self.admin).finish_non_exhaustive()
    }
}
