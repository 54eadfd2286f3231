//! Which of several certificates a client gets: Envoy's rules, by server name and type of key.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::SignatureAlgorithm;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::names::uris;

/// The certificates of a server.
pub(super) struct Certificates {
    /// In the order of the configuration; never empty.
    all: Vec<Arc<CertifiedKey>>,
    /// Which of them carry a name: `www.example.com`, and `.example.com` for `*.example.com`. One
    /// for each type of key; the first that was given.
    by_name: HashMap<String, Vec<usize>>,
    /// The URIs in each.
    uris: Vec<Vec<String>>,
}

impl Certificates {
    /// `None` without any.
    pub(super) fn new(all: Vec<Arc<CertifiedKey>>) -> Option<Self> {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, certificate) in all.iter().enumerate() {
            for name in certificate.cert.first().map(server_names).unwrap_or_default() {
                let name = match name.strip_prefix('*') {
                    Some(suffix) if suffix.starts_with('.') => suffix.to_owned(),
                    _ => name,
                };
                let same_name = by_name.entry(name).or_default();
                let kind = certificate.key.algorithm();
                if !same_name.iter().any(|other| all[*other].key.algorithm() == kind) {
                    same_name.push(index);
                }
            }
        }
        let of = |own: &Arc<CertifiedKey>| own.cert.first().map(|leaf| uris(leaf));
        let uris = all.iter().map(|own| of(own).unwrap_or_default()).collect();
        (!all.is_empty()).then_some(Self { all, by_name, uris })
    }

    /// Whether it takes a client's hello to know the URIs in the certificate that it gets.
    pub(super) fn differ_in_uris(&self) -> bool {
        self.uris.windows(2).any(|pair| matches!(pair, [one, other] if one != other))
    }

    /// The URIs in the certificate that a client gets; without its hello, in the first.
    pub(super) fn uris(&self, hello: Option<&ClientHello<'_>>) -> &[String] {
        let index = hello.map_or(0, |hello| self.index(hello));
        self.uris.get(index).map(Vec::as_slice).unwrap_or_default()
    }

    fn index(&self, hello: &ClientHello<'_>) -> usize {
        if self.all.len() == 1 {
            return 0;
        }
        let verifies =
            |own: &CertifiedKey| own.key.choose_scheme(hello.signature_schemes()).is_some();
        let name = hello.server_name().map(str::to_ascii_lowercase);
        self.choose(name.as_deref(), verifies)
    }

    /// The certificate for a server name and for what a client can verify.
    fn choose(&self, name: Option<&str>, verifies: impl Fn(&CertifiedKey) -> bool) -> usize {
        let best = |candidates: &[usize]| self.best(candidates, &verifies);
        let Some(name) = name else {
            let all: Vec<_> = (0..self.all.len()).collect();
            return best(&all).unwrap_or(0);
        };
        let named = |name: &str| best(self.by_name.get(name)?);
        named(name)
            .or_else(|| named(name.get(name.find('.')?..)?))
            // No certificate has the name: the first it is (`full_scan_certs_on_sni_mismatch`).
            .unwrap_or(0)
    }

    /// ECDSA where the client can verify it, for it is cheaper; else another.
    fn best(
        &self,
        candidates: &[usize],
        verifies: &impl Fn(&CertifiedKey) -> bool,
    ) -> Option<usize> {
        let is_ecdsa = |i: &usize| self.all[*i].key.algorithm() == SignatureAlgorithm::ECDSA;
        let mut usable = candidates.iter().copied().filter(|i| verifies(&self.all[*i]));
        usable.clone().find(is_ecdsa).or_else(|| usable.next()).or_else(|| {
            // None can be verified: one that is not ECDSA, and the client says what is wrong.
            candidates.iter().copied().find(|i| !is_ecdsa(i))
        })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.all.get(self.index(&hello)).cloned()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("names", &self.by_name).finish_non_exhaustive()
    }
}

/// The DNS names of a certificate; without any, its common name.
fn server_names(certificate: &CertificateDer<'static>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let names: Vec<_> = names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    if !names.is_empty() {
        return names;
    }
    let common = certificate.subject().iter_common_name().next();
    common.and_then(|name| name.as_str().ok()).map(str::to_ascii_lowercase).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(
        names: &[&str],
        common: &str,
        kind: &'static rcgen::SignatureAlgorithm,
    ) -> Arc<CertifiedKey> {
        let names: Vec<_> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, common);
        let key = rcgen::KeyPair::generate_for(kind).expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let der = key.serialize_der();
        let key = rustls::pki_types::PrivateKeyDer::try_from(der).expect("a key");
        let key = rustls::crypto::ring::sign::any_supported_type(&key).expect("a key");
        Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key))
    }

    /// Ed25519 stands for whatever is not ECDSA: RSA keys can't be made here.
    fn certificates() -> Certificates {
        let (ecdsa, other) = (&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519);
        let all = vec![
            certificate(&["first.example"], "x", other),
            certificate(&["www.example.com", "*.example.com"], "x", other),
            certificate(&["www.example.com"], "x", ecdsa),
            certificate(&["www.example.com"], "x", ecdsa),
            certificate(&[], "Common.example", ecdsa),
        ];
        Certificates::new(all).expect("certificates")
    }

    #[test]
    fn the_server_name_decides_then_the_type_of_key() {
        let all = certificates();
        let chosen = |name: Option<&str>| all.choose(name, |_| true);
        assert_eq!(chosen(Some("first.example")), 0);
        assert_eq!(chosen(Some("www.example.com")), 2, "ECDSA, and the first of two");
        assert_eq!(chosen(Some("other.example.com")), 1, "a wildcard");
        assert_eq!(chosen(Some("common.example")), 4, "a common name where there is no other");
        assert_eq!(chosen(Some("a.b.example.com")), 0, "a wildcard stands for one label");
        assert_eq!(chosen(Some("example.com")), 0, "nobody's name: the first");
        assert_eq!(chosen(None), 2, "no name: the first ECDSA");
    }

    #[test]
    fn what_the_client_cannot_verify_is_not_chosen() {
        let all = certificates();
        let no_ecdsa = |own: &CertifiedKey| own.key.algorithm() != SignatureAlgorithm::ECDSA;
        assert_eq!(all.choose(Some("www.example.com"), no_ecdsa), 1);
        assert_eq!(all.choose(None, no_ecdsa), 0);
        // Only ECDSA has this name: it counts as unknown.
        assert_eq!(all.choose(Some("common.example"), no_ecdsa), 0);
    }
}
