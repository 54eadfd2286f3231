//! Verifying a peer's certificate as Envoy does: by who signed it, and by its names where the
//! configuration asks for some. The host that was connected to plays no part.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{names, provider};
use crate::config::model::{DataSource, PeerValidation, SubjectAltNameMatch};
use crate::config::pem;

/// What is asked of a peer's certificate.
struct Peer {
    trusted: Option<Trusted>,
    /// One of its names has to match one of these; none is any.
    names: Vec<SubjectAltNameMatch>,
    provider: Arc<CryptoProvider>,
}

/// Who is trusted.
struct Trusted {
    roots: Arc<RootCertStore>,
    /// The same, byte by byte: a certificate that is itself one of them is trusted, whether or not
    /// it may sign others.
    certificates: Vec<CertificateDer<'static>>,
}

impl Trusted {
    fn new(ca: &DataSource) -> Result<Self, String> {
        let from = ca.origin();
        let roots = pem::trust_anchors(&ca.bytes)
            .map_err(|why| format!("failed to load trusted CA certificates from {from}: {why}"))?;
        let certificates = CertificateDer::pem_slice_iter(&ca.bytes).filter_map(Result::ok);
        Ok(Self { roots: Arc::new(roots), certificates: certificates.collect() })
    }

    fn holds(&self, leaf: &CertificateDer<'_>, now: UnixTime) -> bool {
        self.certificates.iter().any(|own| own == leaf) && is_current(leaf, now)
    }
}

/// Whether a certificate is neither too young nor too old.
fn is_current(certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    let validity = certificate.validity();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now)
}

impl Peer {
    fn new(validation: &PeerValidation) -> Result<Self, String> {
        let PeerValidation { trusted_ca, subject_alt_names } = validation;
        Ok(Self {
            trusted: trusted_ca.as_ref().map(Trusted::new).transpose()?,
            names: subject_alt_names.clone(),
            provider: provider(),
        })
    }

    /// `chain` is what verifying the signatures came to.
    fn decide(
        &self,
        chain: Result<(), Error>,
        leaf: &CertificateDer<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        if let Err(error) = chain
            && !self.trusted.as_ref().is_some_and(|trusted| trusted.holds(leaf, now))
        {
            return Err(error);
        }
        if self.names.is_empty() || names::has_one_of(leaf, &self.names) {
            return Ok(());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn tls12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("trusted", &self.trusted.is_some())
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// Verifies servers. Without trusted authorities it takes any, but only with a signature that
/// belongs to the certificate; Envoy's documentation warns of that.
#[derive(Debug)]
pub(super) struct ServerVerifier(Peer);

impl ServerVerifier {
    pub(super) fn new(validation: &PeerValidation) -> Result<Arc<Self>, String> {
        Peer::new(validation).map(|peer| Arc::new(Self(peer)))
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = match &self.0.trusted {
            None => Ok(()),
            Some(trusted) => ParsedCertificate::try_from(leaf).and_then(|leaf| {
                let algorithms = self.0.provider.signature_verification_algorithms.all;
                let roots = &trusted.roots;
                verify_server_cert_signed_by_trust_anchor(
                    &leaf,
                    roots,
                    intermediates,
                    now,
                    algorithms,
                )
            }),
        };
        self.0.decide(chain, leaf, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.tls12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.schemes()
    }
}

/// Verifies clients.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    peer: Peer,
    chain: Arc<dyn ClientCertVerifier>,
    required: bool,
}

impl ClientVerifier {
    /// `None` where nothing is asked of clients.
    pub(super) fn new(
        validation: &PeerValidation,
        required: bool,
    ) -> Result<Option<Arc<Self>>, String> {
        let peer = Peer::new(validation)?;
        let Some(trusted) = &peer.trusted else {
            return Ok(None);
        };
        let roots = Arc::clone(&trusted.roots);
        let chain = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|e| e.to_string())?;
        // As in Envoy: who asks for names asks for a certificate.
        let required = required || !peer.names.is_empty();
        Ok(Some(Arc::new(Self { peer, chain, required })))
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain = self.chain.verify_client_cert(leaf, intermediates, now).map(|_| ());
        self.peer.decide(chain, leaf, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.peer.tls12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.peer.tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.peer.schemes()
    }
}
