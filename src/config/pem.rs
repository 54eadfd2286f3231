//! Certificates and keys in PEM: whether they can be used, and whether they belong together.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;

/// A chain of at least one certificate.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| describe(&e))?;
    let Some(first) = chain.first() else {
        return Err("it holds no PEM certificate".to_owned());
    };
    if public_key_info(first).is_none() {
        return Err("it is not an X.509 certificate".to_owned());
    }
    Ok(chain)
}

/// A key that can sign.
pub(crate) fn signing_key(text: &[u8]) -> Result<Arc<dyn SigningKey>, String> {
    let key = PrivateKeyDer::from_pem_slice(text).map_err(|e| match e {
        pem::Error::NoItemsFound => "it holds no PEM private key".to_owned(),
        other => describe(&other),
    })?;
    rustls::crypto::ring::sign::any_supported_type(&key).map_err(|e| e.to_string())
}

/// Certificates of authorities, at least one that can be used.
///
/// The bundles of operating systems may hold a few that rustls doesn't read; these authorities are
/// not trusted, and that is no reason to refuse the others.
pub(crate) fn trust_anchors(text: &[u8]) -> Result<RootCertStore, String> {
    let certificates = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| describe(&e))?;
    if certificates.is_empty() {
        return Err("it holds no PEM certificate".to_owned());
    }
    let mut store = RootCertStore::empty();
    match store.add_parsable_certificates(certificates) {
        (0, _) => Err("none of its certificates can be read".to_owned()),
        _ => Ok(store),
    }
}

fn describe(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "it holds nothing in PEM".to_owned(),
        other => other.to_string(),
    }
}

/// Whether a key is the one that a certificate was made for.
///
/// rustls could tell, but not for X.509 version 1: it doesn't read such certificates, though it
/// serves them, and self-signed ones made by older tools are of that version.
pub(crate) fn belong_together(certificate: &CertificateDer<'_>, key: &dyn SigningKey) -> bool {
    match (key.public_key(), public_key_info(certificate)) {
        (Some(ours), Some(theirs)) => ours.as_ref() == theirs,
        // A key that can't tell its public half is taken at its word, as rustls does.
        (None, _) => true,
        (Some(_), None) => false,
    }
}

/// The `subjectPublicKeyInfo` of a certificate (RFC 5280, 4.1), with its header.
fn public_key_info<'a>(certificate: &'a CertificateDer<'_>) -> Option<&'a [u8]> {
    const SEQUENCE: u8 = 0x30;
    const EXPLICIT_VERSION: u8 = 0xa0;
    let (tag, certificate, _) = element(certificate)?;
    let (tbs_tag, tbs, _) = element(certificate)?;
    if tag != SEQUENCE || tbs_tag != SEQUENCE {
        return None;
    }
    let mut rest = tbs;
    if rest.first() == Some(&EXPLICIT_VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number, signature, issuer, validity, subject.
    for _ in 0..5 {
        rest = element(rest)?.2;
    }
    let (tag, _, after) = element(rest)?;
    (tag == SEQUENCE).then(|| &rest[..rest.len() - after.len()])
}

/// The DER element at the start of `bytes`: its tag, its content, and what follows it.
pub(crate) fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // Long form: the low bits say how many bytes hold the length.
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 || rest.len() < count {
            return None;
        }
        let (digits, rest) = rest.split_at(count);
        (digits.iter().fold(0, |n, b| n << 8 | usize::from(*b)), rest)
    };
    if rest.len() < length {
        return None;
    }
    let (content, after) = rest.split_at(length);
    Some((tag, content, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_pair_belongs_together() {
        let (cert, key) = pair();
        let (other, _) = pair();
        let key = signing_key(key.as_bytes()).unwrap();
        let cert = certificates(cert.as_bytes()).unwrap();
        let other = certificates(other.as_bytes()).unwrap();
        assert!(belong_together(&cert[0], &*key));
        assert!(!belong_together(&other[0], &*key));
    }

    /// X.509 version 1, and expired in 2021.
    const OLD: &str = "\
-----BEGIN CERTIFICATE-----
MIIBEjCBugIBATAKBggqhkjOPQQDAjAWMRQwEgYDVQQDDAtvbGQuZXhhbXBsZTAe
Fw0yMDAxMDEwMDAwMDBaFw0yMTAxMDEwMDAwMDBaMBYxFDASBgNVBAMMC29sZC5l
eGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+zbH/fgzYP6rj4wAh1UU
TnnfPx38tNm3TKCymxkLzTt8m/LH7651v0rgYD/sa6/faZ6Xlam4gH8fGSLaEcoK
CjAKBggqhkjOPQQDAgNHADBEAiA9o73pO6Dhx/Ie/5YCIieiNT67S4rVOQL8yzce
ajCTCQIgIc0dvd//RKY7blX7J4VTftc5or7mk9kWjtBtOzGRaAU=
-----END CERTIFICATE-----
";

    const OLD_KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAp43nGCrkT9uxdLj
KcLu9+oOvEpwbtGkyKtKAJkHA9OhRANCAAT7Nsf9+DNg/quPjACHVRROed8/Hfy0
2bdMoLKbGQvNO3yb8sfvrnW/SuBgP+xrr99pnpeVqbiAfx8ZItoRygoK
-----END PRIVATE KEY-----
";

    #[test]
    fn an_old_certificate_is_served_as_it_is() {
        let key = signing_key(OLD_KEY.as_bytes()).unwrap();
        let cert = certificates(OLD.as_bytes()).unwrap();
        assert!(belong_together(&cert[0], &*key));
        let (_, other) = pair();
        assert!(!belong_together(&cert[0], &*signing_key(other.as_bytes()).unwrap()));
    }

    #[test]
    fn what_is_none_is_refused() {
        let (cert, key) = pair();
        for junk in ["", "junk", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(certificates(junk.as_bytes()).is_err(), "{junk}");
            assert!(signing_key(junk.as_bytes()).is_err(), "{junk}");
            assert!(trust_anchors(junk.as_bytes()).is_err(), "{junk}");
        }
        assert!(certificates(key.as_bytes()).is_err());
        assert!(signing_key(cert.as_bytes()).is_err());
        assert!(trust_anchors(cert.as_bytes()).is_ok());
    }

    #[test]
    fn lengths_past_the_end_are_refused() {
        for bytes in
            [&[0x30][..], &[0x30, 0x05, 0], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 0x80]]
        {
            assert!(element(bytes).is_none(), "{bytes:?}");
        }
    }
}
