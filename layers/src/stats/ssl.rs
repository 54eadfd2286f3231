//! What TLS handshakes came to: `ssl.*` of a listener or a cluster.

use std::fmt;
use std::io;
use std::sync::OnceLock;

use metrics::Counter;
use rustls::{CertificateError, CommonState, HandshakeKind};

use super::Scope;
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
    tls12: OnceLock<Counter>,
    tls13: OnceLock<Counter>,
    scope: Scope,
}

impl SslStats {
    /// Registers them in `scope`, which ends in `ssl`.
    pub fn new(scope: Scope) -> Self {
        Self {
            connection_error: scope.counter("connection_error"),
            fail_verify_error: scope.counter("fail_verify_error"),
            fail_verify_no_cert: scope.counter("fail_verify_no_cert"),
            fail_verify_san: scope.counter("fail_verify_san"),
            handshake: scope.counter("handshake"),
            no_certificate: scope.counter("no_certificate"),
            session_reused: scope.counter("session_reused"),
            tls12: OnceLock::new(),
            tls13: OnceLock::new(),
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
        }
        let version = connection.protocol_version().and_then(tls_names::version);
        let counter = match version {
            Some("TLSv1.2") => &self.tls12,
            Some("TLSv1.3") => &self.tls13,
            _ => return,
        };
        let name = version.unwrap_or_default();
        counter
            .get_or_init(|| {
                let full = format!("versions.{name}");
                let name = self.scope.leaf_tagged(&full, "versions", "envoy_ssl_version", name);
                self.scope.sink().counter(&name)
            })
            .increment(1);
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

impl fmt::Debug for SslStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SslStats").finish_non_exhaustive()
    }
}
