//! Opening a connection to an endpoint: TCP with Nagle off, then TLS where configured.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::http1::ClosedBy;
use super::io::UpstreamIo;
#[cfg(feature = "tls")]
use super::tls::SharedClientConfig;
use crate::cluster::ClusterStats;
use crate::error::BoxError;
#[cfg(feature = "tls")]
use crate::stats::SslStats;

/// How connections to the endpoints of a cluster are opened.
#[derive(Clone, Default)]
pub struct Connector {
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

#[cfg(feature = "tls")]
#[derive(Clone)]
struct Tls {
    config: SharedClientConfig,
    stats: Option<Arc<SslStats>>,
    server_name: Option<rustls::pki_types::ServerName<'static>>,
}

/// Why a connection could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The TCP connection was refused or failed.
    Tcp(io::Error),
    /// The TLS handshake failed: the certificate was not trusted, or no common version.
    Tls(io::Error),
    /// The HTTP handshake failed.
    Http(BoxError),
    /// The HTTP/2 handshake failed.
    Http2(BoxError),
    /// It took longer than the connect timeout.
    Timeout,
}

impl ConnectError {
    /// Who ended the connection that never was.
    pub(super) fn closed_by(&self) -> ClosedBy {
        match self {
            // What is wrong with a handshake is found here, unless it just breaks off.
            Self::Tls(error) if error.kind() != io::ErrorKind::UnexpectedEof => ClosedBy::Us,
            Self::Timeout => ClosedBy::Us,
            Self::Tcp(_) | Self::Tls(_) | Self::Http(_) | Self::Http2(_) => ClosedBy::Upstream,
        }
    }
}

impl Connector {
    /// Plain TCP.
    pub fn plain() -> Self {
        Self::default()
    }

    /// TLS by `config`. `server_name` is the SNI; without one, none is sent and the certificate is
    /// checked against the endpoint's address.
    #[cfg(feature = "rustls")]
    pub fn tls(
        config: impl Into<SharedClientConfig>,
        server_name: Option<rustls::pki_types::ServerName<'static>>,
    ) -> Self {
        Self::encrypted(config.into(), server_name, None)
    }

    #[cfg(feature = "tls")]
    pub(super) fn encrypted(
        config: SharedClientConfig,
        server_name: Option<rustls::pki_types::ServerName<'static>>,
        stats: Option<Arc<SslStats>>,
    ) -> Self {
        Self { tls: Some(Tls { config, stats, server_name }) }
    }

    /// Counts handshakes. Without TLS there are none.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn ssl_stats(mut self, stats: Arc<SslStats>) -> Self {
        if let Some(tls) = &mut self.tls {
            tls.stats = Some(stats);
        }
        self
    }

    /// Whether connections are encrypted.
    pub fn is_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        return false;
    }

    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        stats: Arc<ClusterStats>,
    ) -> Result<UpstreamIo, ConnectError> {
        let stream = TcpStream::connect(address).await.map_err(ConnectError::Tcp)?;
        // Request heads are written whole: waiting to fill a segment would only add latency.
        stream.set_nodelay(true).map_err(ConnectError::Tcp)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return Ok(UpstreamIo::tls(tls.handshake(address, stream).await?, stats));
        }
        Ok(UpstreamIo::plain(stream, stats))
    }
}

#[cfg(feature = "tls")]
impl Tls {
    async fn handshake(
        &self,
        address: SocketAddr,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ConnectError> {
        let name = self
            .server_name
            .clone()
            .unwrap_or_else(|| rustls::pki_types::ServerName::IpAddress(address.ip().into()));
        let connector = tokio_rustls::TlsConnector::from(self.config.current());
        let result = connector.connect(name, stream).await;
        if let Some(stats) = &self.stats {
            match &result {
                Ok(stream) => stats.handshake(stream.get_ref().1),
                Err(error) => stats.failed(error),
            }
        }
        result.map_err(ConnectError::Tls)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("tls", &self.is_tls()).finish()
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(e) => write!(f, "connecting: {e}"),
            Self::Tls(e) => write!(f, "TLS handshake: {e}"),
            Self::Http(e) => write!(f, "HTTP handshake: {e}"),
            Self::Http2(e) => write!(f, "HTTP/2 handshake: {e}"),
            Self::Timeout => f.write_str("connecting took too long"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Tcp(e) | Self::Tls(e) => Some(e),
            Self::Http(e) | Self::Http2(e) => Some(&**e),
            Self::Timeout => None,
        }
    }
}
