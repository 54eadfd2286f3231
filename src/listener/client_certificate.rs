//! Certificates in the words of `x-forwarded-client-cert`.

use std::fmt::Write as _;

use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Describes a client's certificate: `By=<our URI>;Hash=<SHA-256 of its DER>`, as Envoy does where
/// no further details are asked for. `ours` is what [`uri_names`] says of our own.
pub(super) fn describe(client: &CertificateDer<'_>, ours: &[String]) -> Option<HeaderValue> {
    let mut text = String::with_capacity(5 + 64);
    // Writing to a string can't fail.
    for uri in ours {
        let _ = write!(text, "By={uri};");
    }
    text.push_str("Hash=");
    for byte in ring::digest::digest(&ring::digest::SHA256, client).as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    HeaderValue::try_from(text).ok()
}

/// The URIs among a certificate's alternative names.
pub(super) fn uri_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_us_and_the_hash_of_the_client() {
        let params = rcgen::CertificateParams::default();
        let mut params = params;
        let uri = "spiffe://front.example/proxy";
        params.subject_alt_names =
            vec![rcgen::SanType::URI(uri.try_into().expect("an ASCII string"))];
        let key = rcgen::KeyPair::generate().expect("a key");
        let ours = params.self_signed(&key).expect("a certificate");
        let ours = uri_names(ours.der());
        assert_eq!(ours, [uri]);

        // The SHA-256 of nothing is well known.
        let described = describe(&CertificateDer::from_slice(b""), &ours).expect("a header value");
        assert_eq!(
            described,
            "By=spiffe://front.example/proxy;\
             Hash=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
