//! TLS by configuration: rustls, with the certificates that the reader has already checked.
//!
//! A context ([`Downstream`], [`Upstream`]) is what a `DownstreamTlsContext` or an
//! `UpstreamTlsContext` becomes. It is swapped whole when its files change ([`watch`]): connections
//! that are open stay, later ones are made by the new one.

mod certificates;
mod downstream;
mod names;
mod upstream;
mod verify;
mod watch;

pub(crate) use downstream::Downstream;
pub(crate) use upstream::Upstream;
pub(crate) use watch::{Watch, Watched, watch};

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;

use crate::config::model::{TlsCertificate, TlsVersions};
use crate::config::pem;

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

/// A certificate with its key.
///
/// Whether they belong together is not left to rustls: it would refuse certificates of X.509
/// version 1, such as the public sandbox's.
fn certified(certificate: &TlsCertificate) -> Result<Arc<CertifiedKey>, String> {
    let TlsCertificate { chain, key } = certificate;
    let from = chain.origin();
    let chain = pem::certificates(&chain.bytes)
        .map_err(|why| format!("failed to load certificate chain from {from}: {why}"))?;
    let from = key.origin();
    let key = pem::signing_key(&key.bytes)
        .map_err(|why| format!("failed to load private key from {from}: {why}"))?;
    match chain.first() {
        Some(leaf) if pem::belong_together(leaf, &*key) => {
            Ok(Arc::new(CertifiedKey::new(chain, key)))
        }
        _ => Err(format!("the private key from {from} does not match the certificate")),
    }
}
