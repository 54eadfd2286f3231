//! The server side of a TLS listener.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use front_proxy_layers::stats::SslStats;
use rustls::ServerConfig;
use rustls::server::ClientHello;

use super::certificates::Certificates;
use super::verify::ClientVerifier;
use super::watch::{Contents, Context};
use super::{certified, provider, versions};
use crate::config::model::DownstreamTls;

/// The TLS context of a filter chain.
#[derive(Debug)]
pub(crate) struct Downstream {
    side: ArcSwap<ServerSide>,
    stats: Option<Arc<SslStats>>,
}

/// What connections are accepted with.
pub(crate) struct ServerSide {
    /// With the certificates as they are now.
    pub(crate) source: DownstreamTls,
    pub(crate) config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
}

impl Downstream {
    /// What clients sign with is counted in `stats`.
    pub(crate) fn new(
        source: &DownstreamTls,
        stats: Option<Arc<SslStats>>,
    ) -> Result<Self, String> {
        let side = ServerSide::new(source.clone(), stats.as_ref())?;
        Ok(Self { side: ArcSwap::from_pointee(side), stats })
    }

    /// As it is now.
    pub(crate) fn current(&self) -> Arc<ServerSide> {
        self.side.load_full()
    }
}

impl Context for Downstream {
    fn contents(&self) -> Contents {
        Contents::of(self.side.load().source.sources())
    }

    fn renew(&self, contents: &Contents) -> Result<(), String> {
        let mut source = self.current().source.clone();
        source.sources_mut().for_each(|source| contents.put_into(source));
        self.side.store(Arc::new(ServerSide::new(source, self.stats.as_ref())?));
        Ok(())
    }
}

impl ServerSide {
    /// Whether it takes a client's hello to know the URIs in our certificate.
    pub(crate) fn differ_in_uris(&self) -> bool {
        self.certificates.differ_in_uris()
    }

    /// The URIs in our certificate.
    pub(crate) fn uris(&self, hello: Option<&ClientHello<'_>>) -> &[String] {
        self.certificates.uris(hello)
    }

    fn new(source: DownstreamTls, stats: Option<&Arc<SslStats>>) -> Result<Self, String> {
        let DownstreamTls {
            alpn,
            certificates,
            validation,
            require_client_certificate,
            versions: spoken,
        } = &source;
        let certificates = certificates.iter().map(certified).collect::<Result<Vec<_>, _>>()?;
        let certificates = Certificates::new(certificates).ok_or("no certificate is given")?;
        let certificates = Arc::new(certificates);
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(*spoken))
            .map_err(|e| e.to_string())?;
        let builder = match ClientVerifier::new(validation, *require_client_certificate)? {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(match stats {
                None => verifier,
                Some(stats) => stats.verify_client(verifier),
            }),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&certificates) as _);
        config.alpn_protocols = alpn.iter().map(|p| p.clone().into_bytes()).collect();
        Ok(Self { config: Arc::new(config), certificates, source })
    }
}

impl fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSide").finish_non_exhaustive()
    }
}
