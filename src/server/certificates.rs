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
    shown: ArcSwap<Vec<CertificateStatus>>,
}

impl Certificates {
    pub(crate) fn new(
        listeners: Vec<(Arc<Listener>, Scope)>,
        clusters: Arc<ClusterManager>,
    ) -> Arc<Self> {
        let this = Self { listeners, clusters, shown: ArcSwap::default() };
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
                let chains: Vec<_> = source.certificates.iter().map(|one| &one.chain).collect();
                expirations(&chains, scope);
                push(&mut all, source.validation.trusted_ca.as_ref(), &chains);
            }
        }
        for tls in self.clusters.tls() {
            let source = tls.current();
            let chains: Vec<_> = source.certificate.iter().map(|one| &one.chain).collect();
            push(&mut all, source.validation.trusted_ca.as_ref(), &chains);
        }
        self.shown.store(Arc::new(all));
    }

    /// What looks after the files that they come from. `root` is that of all stats.
    pub(crate) fn watched(&self, root: &Scope) -> Vec<Watched> {
        let mut all = self.clusters.watched(root);
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

/// Sets `ssl.certificate.<name>.expiration_unix_time_seconds` below `scope`, the listener's.
fn expirations(chains: &[&DataSource], scope: &Scope) {
    for chain in chains {
        let Some(first) = details(chain).into_iter().next() else {
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
    let path = source.origin();
    CertificateDer::pem_slice_iter(&source.bytes)
        .filter_map(Result::ok)
        .filter_map(|der| CertificateDetails::from_der(&path, &der))
        .collect()
}
