//! Certificates in the words of `x-forwarded-client-cert`.

use std::fmt::Write as _;

use http::HeaderValue;
use rustls::pki_types::CertificateDer;

/// Describes a client's certificate: `By=<our URI>;Hash=<SHA-256 of its DER>`, as Envoy does where
/// no further details are asked for. `ours` are the URIs in our own.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_us_and_the_hash_of_the_client() {
        // The SHA-256 of nothing is well known.
        let ours = ["spiffe://front.example/proxy".to_owned()];
        let described = describe(&CertificateDer::from_slice(b""), &ours).expect("a header value");
        assert_eq!(
            described,
            "By=spiffe://front.example/proxy;\
             Hash=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
