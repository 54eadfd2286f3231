//! Authorities and the certificates that they sign.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate with its key.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn sign(&self, names: Vec<SanType>) -> Pair {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { chain: certificate.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn sign_host(&self, host: &str) -> Pair {
        self.sign(vec![dns(host)])
    }
}

pub(crate) fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// Signed by itself, and an authority: what `openssl req -x509` makes.
pub(crate) fn self_signed() -> Pair {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    Pair { chain: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

impl Pair {
    /// As a `TlsCertificate` in YAML's flow style.
    pub(crate) fn inline(&self) -> String {
        let Self { chain, key } = self;
        format!(
            "{{certificate_chain: {{inline_string: {chain:?}}}, private_key: {{inline_string: {key:?}}}}}"
        )
    }

    pub(crate) fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("tls.crt"), &self.chain).unwrap();
        std::fs::write(folder.join("tls.key"), &self.key).unwrap();
    }

    pub(crate) fn certificates(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.chain.as_bytes()).map(Result::unwrap).collect()
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Files as Kubernetes mounts a secret: `tls.crt` and `tls.key` are links into `..data`, which is a
/// link to a folder and is replaced by another.
pub(crate) struct Secret {
    folder: tempfile::TempDir,
    versions: usize,
}

impl Secret {
    pub(crate) fn new(pair: &Pair) -> Self {
        let mut secret = Self { folder: tempfile::tempdir().unwrap(), versions: 0 };
        secret.replace(pair);
        for name in ["tls.crt", "tls.key"] {
            std::os::unix::fs::symlink(format!("..data/{name}"), secret.path(name)).unwrap();
        }
        secret
    }

    pub(crate) fn replace(&mut self, pair: &Pair) {
        self.versions += 1;
        let version = format!("..version{}", self.versions);
        pair.write(&self.path(&version));
        let new = self.path("..new");
        std::os::unix::fs::symlink(version, &new).unwrap();
        std::fs::rename(new, self.path("..data")).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As a `TlsCertificate` in YAML's flow style.
    pub(crate) fn config(&self) -> String {
        let (chain, key) = (self.path("tls.crt"), self.path("tls.key"));
        format!(
            "{{certificate_chain: {{filename: {chain:?}}}, private_key: {{filename: {key:?}}}}}"
        )
    }
}
