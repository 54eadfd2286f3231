use front_proxy_layers::cors::CorsPolicy;
use front_proxy_layers::runtime::RuntimeFraction;
use http::HeaderValue;

use crate::config::decode::fraction::runtime_fraction;
use crate::config::decode::route_match::string_match;
use crate::config::message::Message;
use crate::config::schema::filters::ROUTE_CORS_POLICY;

/// `cors` of a virtual host or a route.
pub(in crate::config::decode) fn route_cors_policy(m: &Message<'_>) -> Option<CorsPolicy> {
    cors_policy(m.message("cors", &ROUTE_CORS_POLICY)?)
}

pub(super) fn cors_policy(m: Message<'_>) -> Option<CorsPolicy> {
    let origins = m.list("allow_origin_string_match");
    let out = CorsPolicy {
        allow_origins: origins.into_iter().filter_map(|n| string_match(m.cx, n)).collect(),
        allow_methods: header_value(&m, "allow_methods"),
        allow_headers: header_value(&m, "allow_headers"),
        expose_headers: header_value(&m, "expose_headers"),
        max_age: header_value(&m, "max_age"),
        allow_credentials: m.optional_bool("allow_credentials"),
        allow_private_network_access: m.optional_bool("allow_private_network_access"),
        forward_not_matching_preflights: m.optional_bool("forward_not_matching_preflights"),
        enabled: runtime_fraction(&m, "filter_enabled").unwrap_or(RuntimeFraction::ALL),
        shadow: runtime_fraction(&m, "shadow_enabled").unwrap_or(RuntimeFraction::NONE),
    };
    m.finish();
    Some(out)
}

fn header_value(m: &Message<'_>, field: &str) -> Option<HeaderValue> {
    let text = m.header_text(field)?;
    let value = HeaderValue::from_str(&text).ok();
    if value.is_none() {
        m.cx.error(m.place_of(field), format!("`{text}` can't be the value of a header"));
    }
    value
}
