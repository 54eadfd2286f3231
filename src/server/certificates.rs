//! The certificates in use, for `/certs` and for the stats that tell when they expire.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use arc_swap::ArcSwap;
use front_proxy_layers::stats::Scope;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::admin::{CertificateDetails, CertificateStatus};
use crate::cluster_manager::ClusterManager;
use crate::config::model::DataSource;
use crate::listener::Listener;
use crate::tls::{Downstream, Watched};

/// The certificates of a server, as they are now.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// With the scope of their stats.
    listeners: Vec<(Arc<Listener>, Scope)>,
    clusters: Arc<ClusterManager>,
    /// That of all stats.
    root: Scope,
    shown: ArcSwap<Vec<CertificateStatus>>,
}

impl Certificates {
    pub(crate) fn new(
        listeners: Vec<(Arc<Listener>, Scope)>,
        clusters: Arc<ClusterManager>,
        root: Scope,
    ) -> Arc<Self> {
        let this = Self { listeners, clusters, root, shown: ArcSwap::default() };
        this.refresh();
        Arc::new(this)
    }

    /// All of them, those of listeners first.
    pub(super) fn all(&self) -> Vec<CertificateStatus> {
        self.shown.load().to_vec()
    }

    /// Looks at them again: some have been taken anew.
    pub(crate) fn refresh(&self) {
        let mut all = Vec::new();
        for (listener, scope) in &self.listeners {
            for tls in contexts(listener) {
                let tls = tls.current();
                let source = &tls.source;
                let chains = source.certificates.iter().map(|one| &one.chain);
                all.push(context(source.validation.trusted_ca.as_ref(), chains, scope));
            }
        }
        for (tls, scope) in self.clusters.tls(&self.root) {
            let source = tls.current();
            let chains = source.certificate.iter().map(|one| &one.chain);
            all.push(context(source.validation.trusted_ca.as_ref(), chains, &scope));
        }
        self.shown.store(Arc::new(all));
    }

    /// What looks after the files that they come from.
    pub(crate) fn watched(&self) -> Vec<Watched> {
        let mut all = self.clusters.watched(&self.root);
        for (listener, scope) in &self.listeners {
            let scope = scope.child("server_ssl_socket_factory");
            let what = format!("listener `{}`", listener.name);
            let watched =
                |tls: &Arc<Downstream>| Watched::new(what.clone(), Arc::clone(tls) as _, &scope);
            all.extend(contexts(listener).filter_map(watched));
        }
        all
    }
}

fn contexts(listener: &Listener) -> impl Iterator<Item = &Arc<Downstream>> {
    listener.chains.iter().filter_map(|chain| chain.tls.as_ref())
}

/// The certificates of one TLS context; its stats go below `scope`, the listener's or cluster's.
fn context<'s>(
    ca: Option<&DataSource>,
    chains: impl Iterator<Item = &'s DataSource>,
    scope: &Scope,
) -> CertificateStatus {
    let ca_cert = ca.map(details).unwrap_or_default();
    // What vouches for a certificate is sent with it, and shown nowhere.
    let cert_chain: Vec<_> = chains.filter_map(|chain| details(chain).into_iter().next()).collect();
    // Envoy tells the first of the bundle to expire.
    if let Some(first) = ca_cert.iter().min_by_key(|one| one.expiration_time) {
        expiration(first, UNNAMED_CA, scope);
    }
    for certificate in &cert_chain {
        expiration(certificate, UNNAMED, scope);
    }
    CertificateStatus { ca_cert, cert_chain }
}

/// Sets `ssl.certificate.<name>.expiration_unix_time_seconds`.
fn expiration(certificate: &CertificateDetails, name: &str, scope: &Scope) {
    let expires = certificate.expiration_time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let ssl = scope.child("ssl").child("certificate").tagged("envoy_tls_certificate", name);
    ssl.gauge("expiration_unix_time_seconds").set(expires.as_secs() as f64);
}

/// Envoy names a certificate after its secret; one in the configuration itself has none, and goes
/// by the hash of nothing. Of several with one name the last is told.
const UNNAMED: &str = "unnamed_cert_e3b0c442";
const UNNAMED_CA: &str = "unnamed_ca_cert_e3b0c442";

fn details(source: &DataSource) -> Vec<CertificateDetails> {
    let path = source.origin();
    CertificateDer::pem_slice_iter(&source.bytes)
        .filter_map(Result::ok)
        .filter_map(|der| CertificateDetails::from_der(&path, &der))
        .collect()
}
