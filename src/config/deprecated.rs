//! Fields that are read though Envoy 1.40 calls them deprecated.

/// By message, with the fields of it. Seen in what Envoy says of a bootstrap that has them all.
const DEPRECATED: &[(&str, &[&str])] = &[
    (
        "envoy.config.cluster.v3.Cluster",
        &[
            "max_requests_per_connection",
            "common_http_protocol_options",
            "http_protocol_options",
            "http2_protocol_options",
            "dns_refresh_rate",
            "respect_dns_ttl",
            "use_tcp_for_dns_lookups",
        ],
    ),
    ("envoy.config.core.v3.HeaderValueOption", &["append"]),
    ("envoy.config.core.v3.SubstitutionFormatString", &["text_format"]),
    (
        "envoy.config.route.v3.HeaderMatcher",
        &["exact_match", "safe_regex_match", "prefix_match", "suffix_match", "contains_match"],
    ),
    ("envoy.config.route.v3.RouteAction", &["cors"]),
    ("envoy.config.route.v3.VirtualHost", &["cors"]),
    ("envoy.type.matcher.v3.RegexMatcher", &["google_re2"]),
    ("envoy.extensions.access_loggers.file.v3.FileAccessLog", &["format", "json_format"]),
];

/// Whether it is one of them.
pub(super) fn is_deprecated(message: &str, field: &str) -> bool {
    DEPRECATED.iter().any(|(known, fields)| *known == message && fields.contains(&field))
}

/// How often Envoy looks at a part of the bootstrap after it has begun to count. Each look counts a
/// deprecated field once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Looks {
    /// Clusters, and all that is the bootstrap's own: before.
    #[default]
    None,
    /// What listeners are made of.
    Once,
    /// A table of routes: with its connection manager, and by itself.
    Twice,
}

impl Looks {
    pub(super) fn count(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Once => 1,
            Self::Twice => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::supported_fields;

    #[test]
    fn each_of_them_is_read() {
        for (message, fields) in DEPRECATED {
            for field in *fields {
                let mut known = supported_fields().filter(|known| known.message == *message);
                assert!(known.any(|known| known.supported.contains(field)), "{message}.{field}");
            }
        }
    }
}
