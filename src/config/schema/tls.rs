//! TLS contexts.

use super::Schema;

pub(in crate::config) const DOWNSTREAM_TLS: Schema = Schema {
    message: "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    note: "",
    supported: &["common_tls_context", "require_client_certificate"],
    refused: &[
        "disable_stateful_session_resumption",
        "disable_stateless_session_resumption",
        "full_scan_certs_on_sni_mismatch",
        "ocsp_staple_policy",
        "prefer_client_ciphers",
        "require_sni",
        "session_ticket_keys",
        "session_ticket_keys_sds_secret_config",
        "session_timeout",
    ],
};

pub(in crate::config) const UPSTREAM_TLS: Schema = Schema {
    message: "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    note: "",
    supported: &["common_tls_context", "sni"],
    refused: &[
        "allow_renegotiation",
        "auto_host_sni",
        "auto_sni_san_validation",
        "enforce_rsa_key_usage",
        "max_session_keys",
    ],
};

pub(in crate::config) const COMMON_TLS: Schema = Schema {
    message: "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext",
    note: "",
    supported: &["tls_params", "tls_certificates", "validation_context", "alpn_protocols"],
    refused: &[
        "combined_validation_context",
        "custom_handshaker",
        "custom_tls_certificate_selector",
        "key_log",
        "tls_certificate_certificate_provider",
        "tls_certificate_certificate_provider_instance",
        "tls_certificate_provider_instance",
        "tls_certificate_sds_secret_configs",
        "validation_context_certificate_provider",
        "validation_context_certificate_provider_instance",
        "validation_context_sds_secret_config",
    ],
};

pub(in crate::config) const TLS_PARAMETERS: Schema = Schema {
    message: "envoy.extensions.transport_sockets.tls.v3.TlsParameters",
    note: "",
    supported: &["tls_minimum_protocol_version", "tls_maximum_protocol_version"],
    refused: &["cipher_suites", "compliance_policies", "ecdh_curves", "signature_algorithms"],
};

pub(in crate::config) const TLS_CERTIFICATE: Schema = Schema {
    message: "envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
    note: "",
    supported: &["certificate_chain", "private_key"],
    refused: &[
        "ocsp_staple",
        "password",
        "pkcs12",
        "private_key_provider",
        "signed_certificate_timestamp",
        "tls_params",
        "watched_directory",
    ],
};

pub(in crate::config) const VALIDATION: Schema = Schema {
    message: "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext",
    note: "",
    supported: &["trusted_ca", "match_typed_subject_alt_names"],
    refused: &[
        "allow_expired_certificate",
        "ca_certificate_provider_instance",
        "crl",
        "custom_validator_config",
        "match_subject_alt_names",
        "max_verify_depth",
        "only_verify_leaf_cert_crl",
        "require_signed_certificate_timestamp",
        "suppress_client_ca_list",
        "system_root_certs",
        "trust_chain_verification",
        "verify_certificate_hash",
        "verify_certificate_spki",
        "watched_directory",
    ],
};

pub(in crate::config) const SAN_MATCHER: Schema = Schema {
    message: "envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher",
    note: "",
    supported: &["san_type", "matcher", "oid"],
    refused: &[],
};

pub(super) const ALL: &[&Schema] = &[
    &DOWNSTREAM_TLS,
    &UPSTREAM_TLS,
    &COMMON_TLS,
    &TLS_PARAMETERS,
    &TLS_CERTIFICATE,
    &VALIDATION,
    &SAN_MATCHER,
];
