//! The client side towards the endpoints of a cluster.

use std::sync::Arc;

use arc_swap::ArcSwap;
use front_proxy_layers::endpoint::{Connector, SharedClientConfig};
use front_proxy_layers::stats::SslStats;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;

use super::verify::ServerVerifier;
use super::watch::{Contents, Context};
use super::{certified, provider, versions};
use crate::config::model::{UpstreamProtocol, UpstreamTls};

/// The TLS context of a cluster.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// With the certificates as they are now.
    source: ArcSwap<UpstreamTls>,
    protocol: UpstreamProtocol,
    config: SharedClientConfig,
    server_name: Option<ServerName<'static>>,
    stats: Arc<SslStats>,
}

impl Upstream {
    /// Handshakes are counted in `stats`.
    pub(crate) fn new(
        source: &UpstreamTls,
        protocol: UpstreamProtocol,
        stats: SslStats,
    ) -> Result<Self, String> {
        let stats = Arc::new(stats);
        let server_name = match &source.sni {
            None => None,
            Some(sni) => {
                Some(ServerName::try_from(sni.clone()).map_err(|e| format!("`sni`: {e}"))?)
            }
        };
        Ok(Self {
            config: client_config(source, protocol, &stats)?.into(),
            source: ArcSwap::from_pointee(source.clone()),
            protocol,
            server_name,
            stats,
        })
    }

    /// What opens connections with it, also once it has been renewed.
    pub(crate) fn connector(&self) -> Connector {
        Connector::tls(self.config.clone(), self.server_name.clone())
            .ssl_stats(Arc::clone(&self.stats))
    }

    /// As it is now.
    pub(crate) fn current(&self) -> Arc<UpstreamTls> {
        self.source.load_full()
    }
}

impl Context for Upstream {
    fn contents(&self) -> Contents {
        Contents::of(self.source.load().sources())
    }

    fn renew(&self, contents: &Contents) -> Result<(), String> {
        let mut source = UpstreamTls::clone(&self.current());
        source.sources_mut().for_each(|source| contents.put_into(source));
        self.config.replace(client_config(&source, self.protocol, &self.stats)?);
        self.source.store(Arc::new(source));
        Ok(())
    }
}

fn client_config(
    source: &UpstreamTls,
    protocol: UpstreamProtocol,
    stats: &Arc<SslStats>,
) -> Result<Arc<ClientConfig>, String> {
    let UpstreamTls { sni, validation, alpn, certificate, versions: spoken } = source;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(*spoken))
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(stats.verify_server(ServerVerifier::new(validation)?));
    let mut client = match certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let own = SingleCertAndKey::from(certified(certificate)?);
            builder.with_client_cert_resolver(Arc::new(own))
        }
    };
    client.alpn_protocols = match (alpn.is_empty(), protocol) {
        (false, _) => alpn.iter().map(|p| p.clone().into_bytes()).collect(),
        (true, UpstreamProtocol::Http2) => vec![b"h2".to_vec()],
        (true, UpstreamProtocol::Auto) => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        (true, UpstreamProtocol::Http1) => Vec::new(),
    };
    client.enable_sni = sni.is_some();
    Ok(Arc::new(client))
}
