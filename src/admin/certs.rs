//! `/certs`.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::page::Page;
use super::state::AdminState;
use super::status::{CertificateDetails, CertificateStatus, SubjectAltName};
use super::timestamp::rfc3339;

pub(super) fn show(state: &AdminState, _: &str) -> Page {
    let now = SystemTime::now();
    let certificates = state.config.certificates().into_iter().map(|certificate| {
        let list = |list: Vec<CertificateDetails>| {
            list.iter().map(|details| details_json(details, now)).collect::<Value>()
        };
        json!({
            "ca_cert": list(certificate.ca_cert),
            "cert_chain": list(certificate.cert_chain),
        })
    });
    Page::json(&json!({ "certificates": certificates.collect::<Value>() }))
}

impl CertificateDetails {
    /// Reads a certificate. `path` is its file, or `<inline>`; nothing comes of what is not one.
    pub fn from_der(path: &str, der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let validity = certificate.validity();
        Some(Self {
            path: path.to_owned(),
            serial_number: hex(certificate.raw_serial()),
            subject_alt_names: names.filter_map(alt_name).collect(),
            valid_from: at(validity.not_before.timestamp()),
            expiration_time: at(validity.not_after.timestamp()),
        })
    }
}

/// Whole days until the first certificate expires.
pub(super) fn days_until_first_expires(certificates: &[CertificateStatus]) -> Option<u32> {
    let now = SystemTime::now();
    let all = certificates
        .iter()
        .flat_map(|certificate| certificate.ca_cert.iter().chain(&certificate.cert_chain));
    all.map(|details| days_left(details, now)).min()
}

fn details_json(details: &CertificateDetails, now: SystemTime) -> Value {
    let names = details.subject_alt_names.iter().map(|name| match name {
        SubjectAltName::Dns(name) => json!({ "dns": name }),
        SubjectAltName::Uri(uri) => json!({ "uri": uri }),
        SubjectAltName::IpAddress(address) => json!({ "ip_address": address }),
    });
    json!({
        "path": details.path,
        "serial_number": details.serial_number,
        "subject_alt_names": names.collect::<Value>(),
        "days_until_expiration": days_left(details, now).to_string(),
        "valid_from": rfc3339(details.valid_from),
        "expiration_time": rfc3339(details.expiration_time),
    })
}

/// Zero once it has expired.
fn days_left(details: &CertificateDetails, now: SystemTime) -> u32 {
    let left = details.expiration_time.duration_since(now).unwrap_or_default();
    u32::try_from(left.as_secs() / 86_400).unwrap_or(u32::MAX)
}

fn alt_name(name: &GeneralName<'_>) -> Option<SubjectAltName> {
    match name {
        GeneralName::DNSName(name) => Some(SubjectAltName::Dns((*name).to_owned())),
        GeneralName::URI(uri) => Some(SubjectAltName::Uri((*uri).to_owned())),
        GeneralName::IPAddress(bytes) => {
            let address = <[u8; 4]>::try_from(*bytes)
                .map(IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| SubjectAltName::IpAddress(address.to_string()))
        }
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    // DER puts a zero before a number whose first bit is set.
    let bytes = if let [0, rest @ ..] = bytes { rest } else { bytes };
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn at(timestamp: i64) -> SystemTime {
    let span = Duration::from_secs(timestamp.unsigned_abs());
    if timestamp < 0 { SystemTime::UNIX_EPOCH - span } else { SystemTime::UNIX_EPOCH + span }
}
