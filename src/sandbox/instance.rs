//! An instance of a service: an app and the sidecar in front of it, on an address of their own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::addresses::Leased;
use super::{Error, RunningProxy, StartProxy, template};
use crate::service;

/// What an instance is and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceInfo {
    /// The service it belongs to.
    pub service: &'static str,
    /// Its hostname: twelve hex digits, like a container's.
    pub hostname: String,
    /// Its sidecar, which is what the service's name stands for.
    pub sidecar: SocketAddr,
    /// Its sidecar's admin.
    pub admin: SocketAddr,
    /// Its app.
    pub app: SocketAddr,
}

/// What all instances of a service have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// `service1`
    pub(super) name: &'static str,
    /// `1`, which its app says.
    pub(super) number: u8,
    /// The sidecar's bootstrap file.
    pub(super) bootstrap: &'static str,
}

/// A running instance.
#[derive(Debug)]
pub(super) struct Instance {
    info: InstanceInfo,
    address: Leased,
    sidecar: RunningProxy,
    app: App,
}

impl Instance {
    pub(super) async fn start(
        kind: Kind,
        address: Leased,
        service_port: u16,
        proxy: &impl StartProxy,
    ) -> Result<Self, Error> {
        let ip = address.address();
        let sidecar = SocketAddr::from((ip, service_port));
        let failed = |e| Error::bind("a sidecar", sidecar, "--service-port", e);
        // Only tried: see `Options::check_front_addresses`.
        drop(TcpListener::bind(sidecar).await.map_err(failed)?);

        let hostname = service::random_hostname();
        let app = App::start(ip, kind.number, &hostname).await.map_err(failed)?;
        let bootstrap = template::render(
            kind.bootstrap,
            &[
                ("ADDRESS", ip.to_string()),
                ("SERVICE_PORT", service_port.to_string()),
                ("ADMIN_PORT", 0.to_string()),
                ("APP_ADDRESS", ip.to_string()),
                ("APP_PORT", app.address.port().to_string()),
            ],
        )?;
        let name = format!("{}-{hostname}", kind.name);
        let running = match proxy.start(&bootstrap, &name).await {
            Ok(running) => running,
            Err(source) => return Err(Error::Proxy { name, source }),
        };
        Ok(Self {
            info: InstanceInfo {
                service: kind.name,
                hostname,
                sidecar,
                admin: running.admin(),
                app: app.address,
            },
            address,
            sidecar: running,
            app,
        })
    }

    pub(super) fn info(&self) -> &InstanceInfo {
        &self.info
    }

    pub(super) fn address(&self) -> Ipv4Addr {
        self.address.address()
    }

    /// Stops the sidecar, which finishes what it has under way, and then the app.
    pub(super) async fn stop(self) {
        self.sidecar.shutdown().await;
        self.app.stop().await;
    }
}

/// A running demo app; dropping it ends it as well, without being waited for.
#[derive(Debug)]
struct App {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl App {
    async fn start(ip: Ipv4Addr, number: u8, hostname: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((ip, 0)).await?;
        let address = listener.local_addr()?;
        let router = service::router(Some(number.to_string()), hostname.to_owned());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let stopped = async move {
                _ = stopped.await; // an error means dropped: the same
            };
            if let Err(error) = service::serve(listener, router, stopped).await {
                tracing::error!(%address, %error, "the demo app ended");
            }
        });
        Ok(Self { address, stop, task })
    }

    async fn stop(self) {
        _ = self.stop.send(());
        _ = self.task.await;
    }
}
