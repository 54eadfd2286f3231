//! `ssl.sigalgs.*`: with which algorithm peers have signed.
//!
//! rustls keeps that to itself, so verifiers are asked through one that counts. A session that is
//! taken up again verifies nothing; what its certificate was seen to sign with counts again, as in
//! Envoy, whose sessions keep it.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ProtocolVersion, SignatureScheme};

use super::SslStats;
use crate::lock::lock;

/// What rustls verifies with ring, under BoringSSL's names.
pub(super) const SIGALGS: [(SignatureScheme, &str); 10] = [
    (SignatureScheme::RSA_PKCS1_SHA256, "rsa_pkcs1_sha256"),
    (SignatureScheme::RSA_PKCS1_SHA384, "rsa_pkcs1_sha384"),
    (SignatureScheme::RSA_PKCS1_SHA512, "rsa_pkcs1_sha512"),
    (SignatureScheme::RSA_PSS_SHA256, "rsa_pss_rsae_sha256"),
    (SignatureScheme::RSA_PSS_SHA384, "rsa_pss_rsae_sha384"),
    (SignatureScheme::RSA_PSS_SHA512, "rsa_pss_rsae_sha512"),
    (SignatureScheme::ECDSA_NISTP256_SHA256, "ecdsa_secp256r1_sha256"),
    (SignatureScheme::ECDSA_NISTP384_SHA384, "ecdsa_secp384r1_sha384"),
    (SignatureScheme::ECDSA_NISTP521_SHA512, "ecdsa_secp521r1_sha512"),
    (SignatureScheme::ED25519, "ed25519"),
];

/// What certificates were seen to sign with. Handshakes write it, requests never come here.
#[derive(Debug, Default)]
pub(super) struct Signed(Mutex<HashMap<u64, usize>>);

/// More certificates than this are not kept apart: those that sessions belong to are fewer.
const MOST: usize = 4096;

impl Signed {
    fn note(&self, certificate: u64, algorithm: usize) {
        let mut signed = lock(&self.0);
        if signed.len() >= MOST && !signed.contains_key(&certificate) {
            signed.clear();
        }
        signed.insert(certificate, algorithm);
    }

    pub(super) fn find(
        &self,
        certificate: &CertificateDer<'_>,
        version: ProtocolVersion,
    ) -> Option<usize> {
        lock(&self.0).get(&key(certificate, version)).copied()
    }
}

/// One certificate may sign differently in each version.
fn key(certificate: &CertificateDer<'_>, version: ProtocolVersion) -> u64 {
    let mut hasher = DefaultHasher::new();
    certificate.as_ref().hash(&mut hasher);
    version.as_str().hash(&mut hasher);
    hasher.finish()
}

impl SslStats {
    /// A verifier that does what `verifier` does, and counts what servers sign with.
    pub fn verify_server(
        self: &Arc<Self>,
        verifier: Arc<dyn ServerCertVerifier>,
    ) -> Arc<dyn ServerCertVerifier> {
        Arc::new(Counted { verifier, stats: Arc::clone(self) })
    }

    /// A verifier that does what `verifier` does, and counts what clients sign with.
    pub fn verify_client(
        self: &Arc<Self>,
        verifier: Arc<dyn ClientCertVerifier>,
    ) -> Arc<dyn ClientCertVerifier> {
        Arc::new(Counted { verifier, stats: Arc::clone(self) })
    }
}

#[derive(Debug)]
struct Counted<V> {
    verifier: V,
    stats: Arc<SslStats>,
}

impl<V> Counted<V> {
    fn count(
        &self,
        verified: Result<HandshakeSignatureValid, Error>,
        certificate: &CertificateDer<'_>,
        (scheme, version): (SignatureScheme, ProtocolVersion),
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = SIGALGS.iter().position(|(known, _)| *known == scheme);
        if let (Ok(_), Some(algorithm)) = (&verified, known) {
            self.stats.signed.note(key(certificate, version), algorithm);
            self.stats.count_sigalg(algorithm);
        }
        verified
    }
}

macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let verified = self.verifier.verify_tls12_signature(message, certificate, signature);
            self.count(verified, certificate, (signature.scheme, ProtocolVersion::TLSv1_2))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let verified = self.verifier.verify_tls13_signature(message, certificate, signature);
            self.count(verified, certificate, (signature.scheme, ProtocolVersion::TLSv1_3))
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.verifier.supported_verify_schemes()
        }

        fn requires_raw_public_keys(&self) -> bool {
            self.verifier.requires_raw_public_keys()
        }
    };
}

impl ServerCertVerifier for Counted<Arc<dyn ServerCertVerifier>> {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier.verify_server_cert(leaf, intermediates, name, ocsp, now)
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.verifier.root_hint_subjects()
    }

    signatures!();
}

impl ClientCertVerifier for Counted<Arc<dyn ClientCertVerifier>> {
    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verifier.verify_client_cert(leaf, intermediates, now)
    }

    signatures!();
}
