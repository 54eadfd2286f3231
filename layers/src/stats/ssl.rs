//! What TLS handshakes came to: `ssl.*` of a listener or a cluster.

mod signed;

use std::fmt;
use std::io;
use std::sync::OnceLock;

use rustls::crypto::SupportedKxGroup;
use rustls::{
    CertificateError, CipherSuite, CommonState, HandshakeKind, NamedGroup, ProtocolVersion,
};

use self::signed::{SIGALGS, Signed};
use super::{Counter, Scope};
use crate::tls_names;

/// Handles of what is counted of handshakes, under Envoy's names.
pub struct SslStats {
    connection_error: Counter,
    fail_verify_error: Counter,
    fail_verify_no_cert: Counter,
    fail_verify_san: Counter,
    handshake: Counter,
    no_certificate: Counter,
    session_reused: Counter,
    versions: [OnceLock<Counter>; VERSIONS.len()],
    ciphers: [OnceLock<Counter>; CIPHERS.len()],
    curves: [OnceLock<Counter>; CURVES.len()],
    sigalgs: [OnceLock<Counter>; SIGALGS.len()],
    signed: Signed,
    cipher_tag: &'static str,
    scope: Scope,
}

impl SslStats {
    /// Registers those of a listener in `scope`, which ends in `ssl`.
    pub fn of_listener(scope: Scope) -> Self {
        Self::new(scope, "envoy_ssl_cipher")
    }

    /// Registers those of a cluster in `scope`, which ends in `ssl`.
    pub fn of_cluster(scope: Scope) -> Self {
        Self::new(scope, "cipher_suite")
    }

    fn new(scope: Scope, cipher_tag: &'static str) -> Self {
        Self {
            connection_error: scope.counter("connection_error"),
            fail_verify_error: scope.counter("fail_verify_error"),
            fail_verify_no_cert: scope.counter("fail_verify_no_cert"),
            fail_verify_san: scope.counter("fail_verify_san"),
            handshake: scope.counter("handshake"),
            no_certificate: scope.counter("no_certificate"),
            session_reused: scope.counter("session_reused"),
            versions: [const { OnceLock::new() }; VERSIONS.len()],
            ciphers: [const { OnceLock::new() }; CIPHERS.len()],
            curves: [const { OnceLock::new() }; CURVES.len()],
            sigalgs: [const { OnceLock::new() }; SIGALGS.len()],
            signed: Signed::default(),
            cipher_tag,
            scope,
        }
    }

    /// Counts a finished handshake.
    pub fn handshake(&self, connection: &CommonState) {
        self.handshake.increment(1);
        if connection.peer_certificates().is_none() {
            self.no_certificate.increment(1);
        }
        if connection.handshake_kind() == Some(HandshakeKind::Resumed) {
            self.session_reused.increment(1);
            self.resumed(connection);
        }
        if let Some(at) = connection.protocol_version().and_then(|v| place(&VERSIONS, v)) {
            self.named(&self.versions[at], "versions", "envoy_ssl_version", || {
                tls_names::version(VERSIONS[at]).unwrap_or_default().to_owned()
            });
        }
        let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
        if let Some(at) = suite.and_then(|suite| place(&CIPHERS, suite)) {
            self.named(&self.ciphers[at], "ciphers", self.cipher_tag, || {
                tls_names::cipher(CIPHERS[at])
            });
        }
        let group = connection.negotiated_key_exchange_group().map(SupportedKxGroup::name);
        if let Some(at) = group.and_then(|group| CURVES.iter().position(|(g, _)| *g == group)) {
            self.named(&self.curves[at], "curves", "envoy_ssl_curve", || CURVES[at].1.to_owned());
        }
    }

    fn resumed(&self, connection: &CommonState) {
        let leaf = connection.peer_certificates().and_then(|chain| chain.first());
        if let (Some(leaf), Some(version)) = (leaf, connection.protocol_version())
            && let Some(algorithm) = self.signed.find(leaf, version)
        {
            self.count_sigalg(algorithm);
        }
    }

    fn count_sigalg(&self, at: usize) {
        if let (Some(counter), Some((_, name))) = (self.sigalgs.get(at), SIGALGS.get(at)) {
            self.named(counter, "sigalgs", "envoy_ssl_sigalg", || (*name).to_owned());
        }
    }

    /// Counts one of several; it appears with its first use, as in Envoy.
    fn named(
        &self,
        counter: &OnceLock<Counter>,
        of: &str,
        tag: &'static str,
        name: impl FnOnce() -> String,
    ) {
        let counter = counter.get_or_init(|| {
            let name = name();
            let name = self.scope.leaf_tagged(&format!("{of}.{name}"), of, tag, name);
            self.scope.sink().counter(&name)
        });
        counter.increment(1);
    }

    /// Counts a handshake that failed. A peer that left in the middle of it is no TLS error.
    ///
    /// A verifier that refuses a certificate for its names says so with
    /// [`CertificateError::ApplicationVerificationFailure`].
    pub fn failed(&self, error: &io::Error) {
        let Some(error) = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) else {
            return;
        };
        self.count(error).increment(1);
    }

    /// Counts what did not even begin like a handshake.
    pub fn not_tls(&self) {
        self.connection_error.increment(1);
    }

    fn count(&self, error: &rustls::Error) -> &Counter {
        match error {
            rustls::Error::NoCertificatesPresented => &self.fail_verify_no_cert,
            rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
                &self.fail_verify_san
            }
            rustls::Error::InvalidCertificate(_) => &self.fail_verify_error,
            _ => &self.connection_error,
        }
    }
}

fn place<T: PartialEq>(known: &[T], one: T) -> Option<usize> {
    known.iter().position(|known| *known == one)
}

/// What rustls speaks, each with a place for its counter: nothing is looked up by name.
const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3];
const CIPHERS: [CipherSuite; 9] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];
/// With BoringSSL's names.
const CURVES: [(NamedGroup, &str); 4] = [
    (NamedGroup::X25519, "X25519"),
    (NamedGroup::secp256r1, "P-256"),
    (NamedGroup::secp384r1, "P-384"),
    (NamedGroup::X25519MLKEM768, "X25519MLKEM768"),
];

impl fmt::Debug for SslStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SslStats").finish_non_exhaustive()
    }
}
