//! What TLS versions and ciphers are called in logs and stats.

use rustls::{CipherSuite, ProtocolVersion};

/// A version: `TLSv1.3`.
pub fn version(version: ProtocolVersion) -> Option<&'static str> {
    match version {
        ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
        ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
        _ => None,
    }
}

/// A cipher suite under OpenSSL's name, as Envoy has it: that of RFC 8446 for TLS 1.3,
/// `ECDHE-RSA-AES128-GCM-SHA256` and its like before.
pub fn cipher(suite: CipherSuite) -> String {
    let name = suite.as_str().unwrap_or_default();
    if let Some(name) = name.strip_prefix("TLS13_") {
        return format!("TLS_{name}");
    }
    let name = name.strip_prefix("TLS_").unwrap_or(name).replace("_WITH_", "-");
    let name = name.replace("AES_128", "AES128").replace("AES_256", "AES256").replace('_', "-");
    // OpenSSL leaves the hash of this one unsaid.
    name.replace("CHACHA20-POLY1305-SHA256", "CHACHA20-POLY1305")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ciphers_have_openssls_names() {
        for (suite, name) in [
            (CipherSuite::TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384"),
            (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256"),
            (
                CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                "ECDHE-ECDSA-CHACHA20-POLY1305",
            ),
        ] {
            assert_eq!(cipher(suite), name);
        }
    }
}
