//! Whether a certificate has one of the names that a configuration asks for
//! (`match_typed_subject_alt_names`).

use std::borrow::Cow;
use std::net::IpAddr;

use front_proxy_layers::route::StringMatch;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::model::{SanType, SubjectAltNameMatch};
use crate::config::pem;

/// Whether any of the certificate's alternative names matches any of `wanted`.
pub(super) fn has_one_of(certificate: &CertificateDer<'_>, wanted: &[SubjectAltNameMatch]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return false;
    };
    let names = &names.value.general_names;
    wanted.iter().any(|wanted| names.iter().any(|name| is_wanted(name, wanted)))
}

fn is_wanted(name: &GeneralName<'_>, wanted: &SubjectAltNameMatch) -> bool {
    let SubjectAltNameMatch { kind, matcher } = wanted;
    match (kind, name, matcher) {
        // An exact match of a DNS name is a match as of host names, whatever `ignore_case` says.
        (SanType::Dns, GeneralName::DNSName(pattern), StringMatch::Exact { value, .. }) => {
            is_host(value, pattern)
        }
        _ => text(kind, name).is_some_and(|text| matcher.matches(&text)),
    }
}

/// The text of a name, if it is of this type.
fn text<'n>(kind: &SanType, name: &'n GeneralName<'_>) -> Option<Cow<'n, [u8]>> {
    Some(match (kind, name) {
        (SanType::Dns, GeneralName::DNSName(name))
        | (SanType::Uri, GeneralName::URI(name))
        | (SanType::Email, GeneralName::RFC822Name(name)) => Cow::Borrowed(name.as_bytes()),
        (SanType::IpAddress, GeneralName::IPAddress(bytes)) => {
            let address = match bytes.len() {
                4 => IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?),
                _ => IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?),
            };
            Cow::Owned(address.to_string().into_bytes())
        }
        (SanType::OtherName(wanted), GeneralName::OtherName(oid, value)) => {
            if oid.to_id_string() != *wanted {
                return None;
            }
            other_name(value)?
        }
        _ => return None,
    })
}

/// The value of an `otherName`, which may be of any type: texts as they are, numbers and truth
/// values in words. Lists and the like have no text here.
fn other_name(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    const EXPLICIT: u8 = 0xa0;
    let (tag, inner, _) = pem::element(value)?;
    if tag != EXPLICIT {
        return None;
    }
    let (tag, content, _) = pem::element(inner)?;
    match tag {
        // BOOLEAN
        1 => Some(Cow::Borrowed(if content == [0] { b"false" } else { b"true" })),
        // INTEGER, ENUMERATED
        2 | 10 => integer(content),
        // OCTET STRING, and the strings of characters: UTF8, numeric, printable, teletex, videotex,
        // IA5, graphic, visible, general, universal, BMP.
        4 | 12 | 18..=22 | 25..=28 | 30 => Some(Cow::Borrowed(content)),
        _ => None,
    }
}

fn integer(bytes: &[u8]) -> Option<Cow<'static, [u8]>> {
    if bytes.is_empty() || bytes.len() > 16 {
        return None;
    }
    let sign = if bytes[0] >= 0x80 { -1 } else { 0 };
    let value = bytes.iter().fold(sign, |n: i128, b| n << 8 | i128::from(*b));
    Some(Cow::Owned(value.to_string().into_bytes()))
}

/// The URIs among a certificate's alternative names.
pub(super) fn uris(certificate: &CertificateDer<'_>) -> Vec<String> {
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

/// Whether a host goes by the name of a certificate, where a `*` in the leftmost label stands for
/// any part of it (RFC 6125, 6.4.3). A label in ASCII encoding (`xn--`) has no wildcards.
fn is_host(host: &str, pattern: &str) -> bool {
    let (host, pattern) = (host.to_ascii_lowercase(), pattern.to_ascii_lowercase());
    if host == pattern {
        return true;
    }
    let (Some((label, rest)), Some((pattern, pattern_rest))) =
        (host.split_once('.'), pattern.split_once('.'))
    else {
        return false;
    };
    let Some((before, after)) = pattern.split_once('*') else {
        return false;
    };
    !pattern.starts_with("xn--")
        && !after.contains('*')
        && rest == pattern_rest
        && label.len() + 1 >= pattern.len()
        && label.starts_with(before)
        && label.ends_with(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_go_by_the_names_of_certificates() {
        for (host, pattern) in [
            ("a.example", "A.example"),
            ("www.example.com", "*.example.com"),
            ("WWW.example.com", "*.EXAMPLE.com"),
            ("foobar.example.com", "foo*.example.com"),
            ("foobar.example.com", "*bar.example.com"),
            ("foobar.example.com", "f*r.example.com"),
            ("*.example.com", "*.example.com"),
            ("single", "single"),
        ] {
            assert!(is_host(host, pattern), "{host} {pattern}");
        }
        for (host, pattern) in [
            ("a.b.example.com", "*.example.com"),
            ("example.com", "*.example.com"),
            ("example.com", "*.com.example"),
            ("com", "*"),
            ("www.example.com", "www.*.com"),
            ("www.a.com", "*.*.com"),
            ("xn--bcher-kva.example", "xn--*.example"),
            ("abc.example", "a*b*c.example"),
            // The star stands for nothing, but the same letter not twice.
            ("a.example", "a*a.example"),
            ("www.example.com", "www.example.co"),
        ] {
            assert!(!is_host(host, pattern), "{host} {pattern}");
        }
    }

    #[test]
    fn uris_are_taken_from_the_alternative_names() {
        let mut params = rcgen::CertificateParams::default();
        let uri = "spiffe://front.example/proxy";
        let other = rcgen::SanType::DnsName("a.example".try_into().expect("ASCII"));
        params.subject_alt_names = vec![other, rcgen::SanType::URI(uri.try_into().expect("ASCII"))];
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        assert_eq!(uris(certificate.der()), [uri]);
    }

    #[test]
    fn other_names_have_the_text_of_their_value() {
        let of = |bytes: &[u8]| other_name(bytes).map(Cow::into_owned);
        assert_eq!(of(&[0xa0, 4, 12, 2, b'a', b'b']).as_deref(), Some(&b"ab"[..]));
        assert_eq!(of(&[0xa0, 4, 2, 2, 1, 0]).as_deref(), Some(&b"256"[..]));
        assert_eq!(of(&[0xa0, 3, 2, 1, 0xff]).as_deref(), Some(&b"-1"[..]));
        assert_eq!(of(&[0xa0, 3, 1, 1, 0xff]).as_deref(), Some(&b"true"[..]));
        for bad in [&[][..], &[12, 1, b'a'], &[0xa0, 2, 2, 0], &[0xa0, 2, 5, 0], &[0xa0, 9]] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }
}
