//! TLS contexts.

use front_proxy_layers::route::StringMatch;

use super::DataSource;

/// `DownstreamTlsContext`.
#[derive(Clone, Debug)]
pub struct DownstreamTls {
    /// `alpn_protocols`, in order of preference.
    pub alpn: Vec<String>,
    /// Certificates with their keys; at least one.
    pub certificates: Vec<TlsCertificate>,
    /// `validation_context`: what is asked of clients' certificates.
    pub validation: PeerValidation,
    /// `require_client_certificate`; never without a trusted CA.
    pub require_client_certificate: bool,
    /// Lowest and highest version. Default TLS 1.2 to TLS 1.3.
    pub versions: TlsVersions,
}

impl DownstreamTls {
    /// All data of it.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &DataSource> {
        let own = self.certificates.iter().flat_map(TlsCertificate::sources);
        own.chain(&self.validation.trusted_ca)
    }

    /// The same, to be replaced.
    pub(crate) fn sources_mut(&mut self) -> impl Iterator<Item = &mut DataSource> {
        let own = self.certificates.iter_mut().flat_map(TlsCertificate::sources_mut);
        own.chain(&mut self.validation.trusted_ca)
    }
}

/// `CertificateValidationContext`: what is asked of a peer's certificate.
#[derive(Clone, Debug, Default)]
pub struct PeerValidation {
    /// `trusted_ca`; without one nothing is verified, as in Envoy.
    pub trusted_ca: Option<DataSource>,
    /// `match_typed_subject_alt_names`: one of the certificate's names has to match one of these.
    /// Empty is any; never without a trusted CA.
    pub subject_alt_names: Vec<SubjectAltNameMatch>,
}

/// `SubjectAltNameMatcher`
#[derive(Clone, Debug)]
pub struct SubjectAltNameMatch {
    /// `san_type`: only names of this type count.
    pub kind: SanType,
    /// `matcher`. An exact match of a DNS name takes the wildcards of certificates.
    pub matcher: StringMatch,
}

/// `san_type`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Envoy's names
pub enum SanType {
    Email,
    Dns,
    Uri,
    IpAddress,
    /// With its `oid`, in dotted form.
    OtherName(String),
}

/// Which TLS versions are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    Both,
    /// 1.2 only.
    Only12,
    /// 1.3 only.
    Only13,
}

/// A certificate chain and its key; loaded and checked against each other by the reader.
#[derive(Clone, Debug)]
pub struct TlsCertificate {
    /// `certificate_chain`
    pub chain: DataSource,
    /// `private_key`
    pub key: DataSource,
}

impl TlsCertificate {
    fn sources(&self) -> [&DataSource; 2] {
        [&self.chain, &self.key]
    }

    fn sources_mut(&mut self) -> [&mut DataSource; 2] {
        [&mut self.chain, &mut self.key]
    }
}

/// `UpstreamTlsContext`.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// `sni`, where given.
    pub sni: Option<String>,
    /// `validation_context`: what is asked of the upstream's certificate.
    pub validation: PeerValidation,
    /// `alpn_protocols`
    pub alpn: Vec<String>,
    /// A client certificate, where given.
    pub certificate: Option<TlsCertificate>,
    /// Lowest and highest version.
    pub versions: TlsVersions,
}

impl UpstreamTls {
    /// All data of it.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &DataSource> {
        let own = self.certificate.iter().flat_map(TlsCertificate::sources);
        own.chain(&self.validation.trusted_ca)
    }

    /// The same, to be replaced.
    pub(crate) fn sources_mut(&mut self) -> impl Iterator<Item = &mut DataSource> {
        let own = self.certificate.iter_mut().flat_map(TlsCertificate::sources_mut);
        own.chain(&mut self.validation.trusted_ca)
    }
}
