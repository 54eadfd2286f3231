//! TLS contexts; certificates and keys are loaded and checked here.

use crate::config::decode::any::typed_config;
use crate::config::decode::route_match::string_match;
use crate::config::decode::shared::data_source;
use crate::config::diagnostic::Diagnostic;
use crate::config::message::{Message, Variants};
use crate::config::model::{
    DataSource, DownstreamTls, PeerValidation, SanType, SubjectAltNameMatch, TlsCertificate,
    TlsVersions, UpstreamTls,
};
use crate::config::pem;
use crate::config::schema::Schema;
use crate::config::schema::listener::{RAW_BUFFER, TRANSPORT_SOCKET};
use crate::config::schema::tls::{
    COMMON_TLS, SAN_MATCHER, TLS_CERTIFICATE, TLS_PARAMETERS, VALIDATION,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Default,
    Tls12,
    Tls13,
}

const VERSIONS: &Variants<Version> = &[
    ("TLS_AUTO", 0, Some(Version::Default)),
    ("TLSv1_0", 1, None),
    ("TLSv1_1", 2, None),
    ("TLSv1_2", 3, Some(Version::Tls12)),
    ("TLSv1_3", 4, Some(Version::Tls13)),
];

const SAN_TYPES: &Variants<&str> = &[
    ("EMAIL", 1, Some("EMAIL")),
    ("DNS", 2, Some("DNS")),
    ("URI", 3, Some("URI")),
    ("IP_ADDRESS", 4, Some("IP_ADDRESS")),
    ("OTHER_NAME", 5, Some("OTHER_NAME")),
];

/// The TLS context, of this schema, in the `transport_socket` of a message; `None` is plain text.
pub(super) fn context<'a>(m: &Message<'a>, tls: &'static Schema) -> Option<Message<'a>> {
    let socket = m.message("transport_socket", &TRANSPORT_SOCKET)?;
    let found = typed_config(&socket, "a transport socket", &[tls, &RAW_BUFFER]);
    socket.finish();
    let found = found?;
    if found.schema.message == RAW_BUFFER.message {
        found.message.finish();
        return None;
    }
    Some(found.message)
}

/// `DownstreamTlsContext`
pub(super) fn downstream(m: Message<'_>) -> DownstreamTls {
    let common = common(&m);
    if common.certificates.is_empty() && !common.failed {
        m.cx.report(
            Diagnostic::new(m.span(), "no TLS certificates found for this server context")
                .help("add `common_tls_context.tls_certificates`"),
        );
    }
    let require_client_certificate = m.bool("require_client_certificate");
    if require_client_certificate && common.validation.trusted_ca.is_none() {
        let place = m.place_of("require_client_certificate");
        m.cx.report(
            Diagnostic::new(place, "client certificates are required, but not verified").help(
                "add a `validation_context` with a `trusted_ca`: without one Envoy asks for none",
            ),
        );
    }
    m.finish();
    DownstreamTls {
        alpn: common.alpn,
        certificates: common.certificates,
        validation: common.validation,
        require_client_certificate,
        versions: common.versions,
    }
}

/// `UpstreamTlsContext`
pub(super) fn upstream(m: Message<'_>) -> UpstreamTls {
    let mut common = common(&m);
    if common.certificates.len() > 1 {
        m.error("multiple TLS certificates are not supported for client contexts");
    }
    let sni = m.string("sni");
    if sni.as_ref().is_some_and(|s| s.len() > 255) {
        m.error("`sni` must not be longer than 255 bytes");
    }
    if let Some(name) = &sni
        && rustls::pki_types::ServerName::try_from(name.as_str()).is_err()
    {
        m.cx.error(m.place_of("sni"), format!("`{name}` is not a name of a host"));
    }
    m.finish();
    UpstreamTls {
        sni,
        validation: common.validation,
        alpn: common.alpn,
        certificate: common.certificates.pop(),
        versions: common.versions,
    }
}

struct Common {
    certificates: Vec<TlsCertificate>,
    /// A certificate was given and didn't load.
    failed: bool,
    validation: PeerValidation,
    alpn: Vec<String>,
    versions: TlsVersions,
}

fn common(m: &Message<'_>) -> Common {
    let mut out = Common {
        certificates: Vec::new(),
        failed: false,
        validation: PeerValidation::default(),
        alpn: Vec::new(),
        versions: TlsVersions::Both,
    };
    let Some(m) = m.message("common_tls_context", &COMMON_TLS) else {
        return out;
    };
    for certificate in m.messages("tls_certificates", &TLS_CERTIFICATE) {
        match tls_certificate(certificate) {
            Some(certificate) => out.certificates.push(certificate),
            None => out.failed = true,
        }
    }
    if let Some(parameters) = m.message("tls_params", &TLS_PARAMETERS) {
        out.versions = versions(parameters);
    }
    for (protocol, place) in m.strings("alpn_protocols") {
        // RFC 7301, 3.1: 1 to 255 bytes.
        if protocol.is_empty() || protocol.len() > 255 {
            m.cx.error(place, "an ALPN protocol has 1 to 255 bytes");
        }
        out.alpn.push(protocol.to_owned());
    }
    if let Some(v) = m.message("validation_context", &VALIDATION) {
        out.validation = peer_validation(v);
    }
    m.finish();
    out
}

fn tls_certificate(m: Message<'_>) -> Option<TlsCertificate> {
    let cx = m.cx;
    m.required("certificate_chain");
    m.required("private_key");
    let chain = data_source(&m, "certificate_chain");
    let key = data_source(&m, "private_key");
    m.finish();
    let certificates = chain.as_ref().and_then(|(chain, node)| {
        let read = pem::certificates(&chain.bytes);
        let from = chain.origin();
        read.map_err(|why| {
            let message = format!("failed to load certificate chain from {from}: {why}");
            cx.error(&node.span, message);
        })
        .ok()
    });
    let signing = key.as_ref().and_then(|(key, node)| {
        let read = pem::signing_key(&key.bytes);
        let from = key.origin();
        read.map_err(|why| {
            cx.error(&node.span, format!("failed to load private key from {from}: {why}"));
        })
        .ok()
    });
    let ((chain, _), (key, node)) = chain.zip(key)?;
    if !pem::belong_together(certificates?.first()?, &*signing?) {
        cx.report(
            Diagnostic::new(&node.span, "the private key does not match the certificate")
                .help("the first certificate of the chain must be the one made for this key"),
        );
    }
    Some(TlsCertificate { chain, key })
}

fn peer_validation(m: Message<'_>) -> PeerValidation {
    let trusted_ca = trusted_ca(&m);
    let field = "match_typed_subject_alt_names";
    let subject_alt_names: Vec<_> =
        m.messages(field, &SAN_MATCHER).into_iter().filter_map(subject_alt_name).collect();
    if !m.has("trusted_ca") && m.has(field) {
        m.cx.error(
            m.place_of(field),
            "SAN-based verification of peer certificates without trusted CA is insecure and not allowed",
        );
    }
    m.finish();
    PeerValidation { trusted_ca, subject_alt_names }
}

fn trusted_ca(m: &Message<'_>) -> Option<DataSource> {
    let (ca, node) = data_source(m, "trusted_ca")?;
    if let Err(why) = pem::trust_anchors(&ca.bytes) {
        let from = ca.origin();
        let message = format!("failed to load trusted CA certificates from {from}: {why}");
        m.cx.error(&node.span, message);
    }
    Some(ca)
}

fn versions(m: Message<'_>) -> TlsVersions {
    let low = m.enumeration("tls_minimum_protocol_version", VERSIONS);
    let high = m.enumeration("tls_maximum_protocol_version", VERSIONS);
    let low = low.unwrap_or(Version::Default);
    let high = high.unwrap_or(Version::Default);
    let out = match (low, high) {
        (Version::Tls13, Version::Tls12) => {
            m.error("the lowest TLS version is above the highest");
            TlsVersions::Both
        }
        (Version::Tls13, _) => TlsVersions::Only13,
        (_, Version::Tls12) => TlsVersions::Only12,
        _ => TlsVersions::Both,
    };
    m.finish();
    out
}

/// One of the names that a peer's certificate may have.
fn subject_alt_name(m: Message<'_>) -> Option<SubjectAltNameMatch> {
    m.required("san_type");
    let kind = m.enumeration("san_type", SAN_TYPES);
    let matcher = m.required("matcher").and_then(|node| string_match(m.cx, node));
    let oid = m.string("oid").unwrap_or_default();
    let kind = match kind {
        Some("OTHER_NAME") => {
            if !is_oid(&oid) {
                let message = format!("an OTHER_NAME needs its `oid`, as `1.3.6.1`, not `{oid}`");
                m.cx.error(m.place_of("oid"), message);
            }
            Some(SanType::OtherName(oid))
        }
        // Envoy takes an `oid` here and does nothing with it.
        Some(_) if !oid.is_empty() => {
            m.cx.error(m.place_of("oid"), "only names of the type OTHER_NAME have an `oid`");
            None
        }
        Some("EMAIL") => Some(SanType::Email),
        Some("URI") => Some(SanType::Uri),
        Some("IP_ADDRESS") => Some(SanType::IpAddress),
        Some(_) => Some(SanType::Dns),
        None => None,
    };
    m.finish();
    Some(SubjectAltNameMatch { kind: kind?, matcher: matcher? })
}

/// Whether a text is an object identifier in dotted form.
fn is_oid(text: &str) -> bool {
    let arcs: Vec<_> = text.split('.').collect();
    let is_number = |arc: &&str| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit());
    let is_plain = |arc: &&str| is_number(arc) && (*arc == "0" || !arc.starts_with('0'));
    arcs.len() > 1 && arcs.iter().all(is_plain) && matches!(arcs[0], "0" | "1" | "2")
}
