//! The certificates in use, for `/certs` and for the stats that tell when they expire.

use std::time::UNIX_EPOCH;

use front_proxy_layers::stats::Scope;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::admin::{CertificateDetails, CertificateStatus};
use crate::config::model::{Bootstrap, DataSource, Listener};

/// All certificates of a configuration, those of listeners first.
pub(super) fn of(bootstrap: &Bootstrap) -> Vec<CertificateStatus> {
    let mut all = Vec::new();
    for tls in bootstrap
        .listeners
        .iter()
        .flat_map(|listener| &listener.filter_chains)
        .filter_map(|chain| chain.tls.as_ref())
    {
        let chains: Vec<_> = tls.certificates.iter().map(|one| &one.chain).collect();
        push(&mut all, tls.trusted_ca.as_ref(), &chains);
    }
    for tls in bootstrap.clusters.iter().filter_map(|cluster| cluster.tls.as_ref()) {
        let chains: Vec<_> = tls.certificate.iter().map(|one| &one.chain).collect();
        push(&mut all, tls.trusted_ca.as_ref(), &chains);
    }
    all
}

/// Sets `ssl.certificate.<name>.expiration_unix_time_seconds` below `scope`, the listener's.
pub(super) fn expirations(listener: &Listener, scope: &Scope) {
    let chains = listener.filter_chains.iter().filter_map(|chain| chain.tls.as_ref());
    for certificate in chains.flat_map(|tls| &tls.certificates) {
        let Some(first) = details(&certificate.chain).into_iter().next() else {
            continue;
        };
        let expires = first.expiration_time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let ssl = scope.child("ssl").child("certificate");
        let ssl = ssl.tagged("envoy_tls_certificate", UNNAMED);
        ssl.gauge("expiration_unix_time_seconds").set(expires.as_secs() as f64);
    }
}

/// Envoy names a certificate after its secret; one in the configuration itself has none, and goes
/// by the hash of nothing.
const UNNAMED: &str = "unnamed_cert_e3b0c442";

fn push(all: &mut Vec<CertificateStatus>, ca: Option<&DataSource>, chains: &[&DataSource]) {
    let mut ca = ca.map(details).unwrap_or_default();
    if chains.is_empty() {
        if !ca.is_empty() {
            all.push(CertificateStatus { ca_cert: ca, cert_chain: Vec::new() });
        }
        return;
    }
    for chain in chains {
        let ca_cert = std::mem::take(&mut ca);
        all.push(CertificateStatus { ca_cert, cert_chain: details(chain) });
    }
}

fn details(source: &DataSource) -> Vec<CertificateDetails> {
    let path = match &source.file {
        Some(file) => file.display().to_string(),
        None => "<inline>".to_owned(),
    };
    CertificateDer::pem_slice_iter(&source.bytes)
        .filter_map(Result::ok)
        .filter_map(|der| CertificateDetails::from_der(&path, &der))
        .collect()
}
