//! TLS by configuration: rustls, with the certificates that the reader has already checked.

use std::fmt;
use std::sync::Arc;

use front_proxy_layers::endpoint::Connector;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

use crate::config::model::{
    DataSource, DownstreamTls, TlsCertificate, TlsVersions, UpstreamProtocol, UpstreamTls,
};
use crate::config::pem;

/// The server side of a TLS listener.
pub(crate) fn downstream(config: &DownstreamTls) -> Result<Arc<ServerConfig>, String> {
    let certificate = config.certificates.first().ok_or("no certificate is given")?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(config.versions))
        .map_err(|e| e.to_string())?;
    let builder = match &config.trusted_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let roots = Arc::new(roots(ca)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            let verifier = if config.require_client_certificate {
                verifier
            } else {
                verifier.allow_unauthenticated()
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|e| e.to_string())?)
        }
    };
    let mut server = builder.with_cert_resolver(Arc::new(certified(certificate)?));
    server.alpn_protocols = config.alpn.iter().map(|p| p.clone().into_bytes()).collect();
    Ok(Arc::new(server))
}

/// The client side towards the endpoints of a cluster.
pub(crate) fn upstream(
    config: &UpstreamTls,
    protocol: UpstreamProtocol,
) -> Result<Connector, String> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(config.versions))
        .map_err(|e| e.to_string())?;
    let builder = match &config.trusted_ca {
        Some(ca) => builder.with_root_certificates(roots(ca)?),
        // Envoy verifies nothing without a validation context; its documentation warns of it.
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider()))),
    };
    let mut client = match &config.certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => builder.with_client_cert_resolver(Arc::new(certified(certificate)?)),
    };
    client.alpn_protocols = match (config.alpn.is_empty(), protocol) {
        (false, _) => config.alpn.iter().map(|p| p.clone().into_bytes()).collect(),
        (true, UpstreamProtocol::Http2) => vec![b"h2".to_vec()],
        (true, UpstreamProtocol::Auto) => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        (true, _) => Vec::new(),
    };
    client.enable_sni = config.sni.is_some();
    let name = match &config.sni {
        None => None,
        Some(sni) => Some(ServerName::try_from(sni.clone()).map_err(|e| format!("`sni`: {e}"))?),
    };
    Ok(Connector::tls(Arc::new(client), name))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn versions(versions: TlsVersions) -> &'static [&'static rustls::SupportedProtocolVersion] {
    const BOTH: &[&rustls::SupportedProtocolVersion] =
        &[&rustls::version::TLS13, &rustls::version::TLS12];
    const ONLY_12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
    const ONLY_13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
    match versions {
        TlsVersions::Both => BOTH,
        TlsVersions::Only12 => ONLY_12,
        TlsVersions::Only13 => ONLY_13,
    }
}

fn roots(ca: &DataSource) -> Result<RootCertStore, String> {
    pem::trust_anchors(&ca.bytes).map_err(|e| format!("trusted CA: {e}"))
}

/// A certificate with its key. The reader has checked that they belong together; rustls would
/// refuse certificates of X.509 version 1, such as the public sandbox's, if it checked again.
fn certified(certificate: &TlsCertificate) -> Result<SingleCertAndKey, String> {
    let chain = pem::certificates(&certificate.chain.bytes)
        .map_err(|e| format!("certificate chain: {e}"))?;
    let key = pem::signing_key(&certificate.key.bytes).map_err(|e| format!("private key: {e}"))?;
    Ok(SingleCertAndKey::from(CertifiedKey::new(chain, key)))
}

/// Accepts any certificate, but only with a signature that belongs to it.
struct AnyCertificate(Arc<CryptoProvider>);

impl fmt::Debug for AnyCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyCertificate")
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
