//! TLS to the endpoints of a cluster: whom to trust, and what to show.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::{Connector, Protocol};
use crate::stats::SslStats;

/// How TLS is spoken to the endpoints of a cluster: TLS 1.2 and 1.3. What the endpoints show is always
/// checked; for rules of your own there is `Connector::tls`, with the feature `rustls`.
///
/// No authority is trusted by default, as in Envoy: it is said who is, by [`trusting`](Self::trusting)
/// or, with the feature `tls-native-roots`, by `native_roots`.
#[derive(Clone)]
pub struct Tls {
    roots: Arc<RootCertStore>,
    server_name: Option<ServerName<'static>>,
    config: ClientConfig,
}

impl Tls {
    /// Trusts endpoints whose certificate one of these authorities has signed: certificates in PEM, as
    /// in `/etc/ssl/certs/ca-certificates.crt`. Those in it that can't be read are not trusted.
    ///
    /// # Errors
    ///
    /// It is no PEM, or no certificate in it can be read.
    pub fn trusting(authorities: &[u8]) -> Result<Self, TlsError> {
        Self::trusting_any(certificates(authorities)?)
    }

    /// Trusts the authorities that this machine trusts: those of the operating system, or those that
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name. They are read from disk here, and once; those that
    /// can't be read are not trusted. Whoever may reach endpoints over the internet needs this;
    /// inside a network of one's own, [`trusting`](Self::trusting) its authority alone trusts fewer.
    ///
    /// ```no_run
    /// use front_proxy_layers::cluster::Cluster;
    /// use front_proxy_layers::endpoint::Tls;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tls = Tls::native_roots()?.server_name("api.example.com")?;
    /// let api = Cluster::builder("api").endpoints(["192.0.2.1:443"])?.tls(tls).build();
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// There is none that can be read.
    #[cfg(feature = "tls-native-roots")]
    pub fn native_roots() -> Result<Self, TlsError> {
        let rustls_native_certs::CertificateResult { certs, errors, .. } =
            rustls_native_certs::load_native_certs();
        match errors.first() {
            Some(error) if certs.is_empty() => Err(TlsError::new(error)),
            _ => Self::trusting_any(certs),
        }
    }

    /// Those of them that can be read.
    fn trusting_any(authorities: Vec<CertificateDer<'static>>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        let (read, _) = roots.add_parsable_certificates(authorities);
        if read == 0 {
            return Err(TlsError::new("none of the certificates can be read"));
        }
        let roots = Arc::new(roots);
        let config = builder(&roots)?.with_no_client_auth();
        Ok(Self { roots, server_name: None, config })
    }

    /// The name that is asked for (SNI), and that certificates have to be for. Without one nothing is
    /// asked for, and they have to be for the endpoint's IP address.
    ///
    /// # Errors
    ///
    /// It is not a host name.
    pub fn server_name(mut self, name: impl Into<String>) -> Result<Self, TlsError> {
        let name = name.into();
        let wrong = |_| TlsError(format!("`{name}` is not a host name"));
        self.server_name = Some(ServerName::try_from(name.clone()).map_err(wrong)?);
        Ok(self)
    }

    /// Shows this certificate to endpoints that ask for one: the chain, its own first, and its key,
    /// both in PEM.
    ///
    /// # Errors
    ///
    /// They are no PEM, or do not belong together.
    pub fn certificate(mut self, chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::new)?;
        let builder = builder(&self.roots)?;
        self.config = builder.with_client_auth_cert(chain, key).map_err(TlsError::new)?;
        Ok(self)
    }

    /// Handshakes are counted in `stats`.
    pub(crate) fn connector(mut self, protocol: Protocol, stats: SslStats) -> Connector {
        let alpn: &[&[u8]] = match protocol {
            Protocol::Http1 => &[b"http/1.1"],
            #[cfg(feature = "http2")]
            Protocol::Http2 => &[b"h2"],
            #[cfg(feature = "http2")]
            Protocol::Auto => &[b"h2", b"http/1.1"],
        };
        self.config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        self.config.enable_sni = self.server_name.is_some();
        let stats = Arc::new(stats);
        // The same that rustls makes of the authorities, of which there are some.
        let provider = Arc::clone(self.config.crypto_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots, provider).build();
        if let Ok(verifier) = verifier {
            let counted = stats.verify_server(verifier);
            self.config.dangerous().set_certificate_verifier(counted);
        }
        let config = Arc::new(self.config).into();
        Connector::encrypted(config, self.server_name, Some(stats))
    }
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn builder(roots: &Arc<RootCertStore>) -> Result<Builder, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::new)?;
    Ok(builder.with_root_certificates(Arc::clone(roots)))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match all.map_err(TlsError::new)? {
        none if none.is_empty() => Err(TlsError::new("it holds no PEM certificate")),
        some => Ok(some),
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

/// Why [`Tls`] can't be spoken as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError(String);

impl TlsError {
    fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for TlsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused() {
        let error = Tls::trusting(b"hello").expect_err("no PEM");
        assert_eq!(error.to_string(), "it holds no PEM certificate");
        let garbage = b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        let error = Tls::trusting(garbage).expect_err("no certificate");
        assert_eq!(error.to_string(), "none of the certificates can be read");
    }
}
