//! Which fields of which message are read, and which are known to Envoy but refused.
//!
//! The tables follow Envoy's v3 API. A field is read, refused by name or unknown; a decoder can't
//! ask for a field that its table doesn't list, so `docs/envoy-compatibility.md`, which is made
//! from the tables, can't promise more than is read.

pub(super) mod bootstrap;
pub(super) mod cluster;
pub(super) mod filters;
pub(super) mod health;
pub(super) mod http;
pub(super) mod listener;
pub(super) mod route;
pub(super) mod tls;
pub(super) mod implicit;
mod types;

pub(super) use types::KNOWN_TYPES;

/// The fields of one message, at one place.
#[derive(Debug)]
pub(super) struct Schema {
    /// The full name of the message.
    pub(super) message: &'static str,
    /// Tells two places of one message apart, where they take different fields.
    pub(super) note: &'static str,
    /// Fields that are read.
    pub(super) supported: &'static [&'static str],
    /// Fields that Envoy has and we don't.
    pub(super) refused: &'static [&'static str],
}

impl Schema {
    /// The message's name without its package.
    pub(super) fn short_name(&self) -> &'static str {
        short_name(self.message)
    }
}

/// The last part of a dotted name.
pub(super) fn short_name(message: &str) -> &str {
    message.rsplit('.').next().unwrap_or(message)
}

pub(super) fn tables() -> impl Iterator<Item = &'static Schema> {
    [
        bootstrap::ALL,
        listener::ALL,
        http::ALL,
        filters::ALL,
        route::ALL,
        cluster::ALL,
        health::ALL,
        tls::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The fields of one message of Envoy's API, as far as this reader is concerned.
#[derive(Clone, Copy, Debug)]
pub struct MessageFields {
    /// The full name of the message, as in `envoy.config.cluster.v3.Cluster`.
    pub message: &'static str,
    /// Where the message stands, if it takes other fields elsewhere; else empty.
    pub note: &'static str,
    /// Fields that are read.
    pub supported: &'static [&'static str],
    /// Fields that Envoy knows and this reader refuses.
    pub refused: &'static [&'static str],
}

/// Every message that is read, with its fields, in the order of the configuration.
pub fn supported_fields() -> impl Iterator<Item = MessageFields> {
    tables().map(|s| MessageFields {
        message: s.message,
        note: s.note,
        supported: s.supported,
        refused: s.refused,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_is_both_read_and_refused_or_listed_twice() {
        for schema in tables() {
            let mut all: Vec<_> = schema.supported.iter().chain(schema.refused).collect();
            all.sort();
            for pair in all.windows(2) {
                assert_ne!(pair[0], pair[1], "{}", schema.message);
            }
        }
    }

    #[test]
    fn known_types_are_sorted() {
        assert!(KNOWN_TYPES.is_sorted());
    }
}
