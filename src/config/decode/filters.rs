//! HTTP filters, and what routes and what they belong to say about them.

mod cors;
mod fault;
mod health_check;
mod local_rate_limit;

pub(super) use cors::route_cors_policy;

use crate::config::decode::any::{Any, any, is_unread_type, typed_config};
use crate::config::diagnostic::Diagnostic;
use crate::config::message::{Context, Message};
use crate::config::model::{FilterOverride, HttpFilter, HttpFilterConfig, RouteFilterConfig};
use crate::config::schema::Schema;
use crate::config::schema::filters::{
    BUFFER, BUFFER_PER_ROUTE, CORS, CORS_POLICY, FAULT, FILTER_CONFIG, HEALTH_CHECK,
    LOCAL_RATE_LIMIT,
};
use crate::config::schema::http::{HTTP_FILTER, ROUTER};
use crate::config::suggest::nearest;
use crate::config::yaml::{Entry, Node, Value};

const FILTERS: &[&Schema] = &[&BUFFER, &CORS, &FAULT, &HEALTH_CHECK, &LOCAL_RATE_LIMIT, &ROUTER];

/// `http_filters`.
#[derive(Debug, Default)]
pub(super) struct HttpFilters {
    /// Those before the router, in order.
    pub(super) filters: Vec<HttpFilter>,
    /// Some could not be read: what is said about them is no further mistake.
    incomplete: bool,
    pub(super) has_router: bool,
    /// What the router says of Envoy's headers.
    pub(super) suppress_envoy_headers: bool,
}

pub(super) fn http_filters(m: &Message<'_>) -> HttpFilters {
    let mut out = HttpFilters::default();
    let filters = m.messages("http_filters", &HTTP_FILTER);
    let count = filters.len();
    for (i, filter) in filters.into_iter().enumerate() {
        let disabled = filter.bool("disabled");
        let optional = filter.bool("is_optional");
        let may_be_left_out = optional && filter.get("typed_config").is_some_and(is_unread_type);
        if may_be_left_out {
            filter.required_string("name");
            // Nor is what is said about one that is left out.
            out.incomplete = true;
        } else if let Some(found) = typed_config(&filter, "an HTTP filter", FILTERS) {
            let name = filter.string("name").unwrap_or_default();
            out.incomplete |= name.is_empty();
            if found.schema.message == ROUTER.message {
                if i + 1 < count {
                    filter
                        .error("the router is a terminal filter: it must be the last HTTP filter");
                }
                if disabled {
                    filter.error("the router is a terminal filter: it can't be disabled");
                }
                out.has_router = true;
                out.suppress_envoy_headers = found.message.bool("suppress_envoy_headers");
                found.message.finish();
            } else if let Some(config) = filter_config(found) {
                out.filters.push(HttpFilter { name, disabled, config });
            } else {
                out.incomplete = true;
            }
        } else {
            out.incomplete = true;
        }
        filter.finish();
    }
    out
}

fn filter_config(found: Any<'_>) -> Option<HttpFilterConfig> {
    let Any { schema, message: m } = found;
    Some(match schema.message {
        name if name == BUFFER.message => HttpFilterConfig::Buffer(buffer(m)?),
        name if name == CORS.message => {
            m.finish();
            HttpFilterConfig::Cors
        }
        name if name == FAULT.message => HttpFilterConfig::Fault(Box::new(fault::fault(m)?)),
        name if name == HEALTH_CHECK.message => {
            HttpFilterConfig::HealthCheck(health_check::health_check(m))
        }
        _ => {
            let limit = local_rate_limit::local_rate_limit(m, false)?;
            HttpFilterConfig::LocalRateLimit(Box::new(limit))
        }
    })
}

fn buffer(m: Message<'_>) -> Option<u32> {
    m.required("max_request_bytes");
    let max = m.u32_in("max_request_bytes", 1..=i64::from(u32::MAX));
    m.finish();
    max
}

/// `typed_per_filter_config`: what is said here about the filters of the connection manager.
pub(super) fn overrides(m: &Message<'_>, filters: &HttpFilters) -> Vec<FilterOverride> {
    let Some(node) = m.get("typed_per_filter_config") else { return Vec::new() };
    let Value::Map(entries) = &node.value else {
        let message =
            format!("`typed_per_filter_config` must be a mapping, not {}", node.describe());
        m.cx.error(&node.span, message);
        return Vec::new();
    };
    entries.iter().filter_map(|entry| filter_override(m.cx, entry, filters)).collect()
}

fn filter_override(cx: &Context, entry: &Entry, filters: &HttpFilters) -> Option<FilterOverride> {
    let Some(filter) = filters.filters.iter().find(|filter| filter.name == entry.key) else {
        if filters.incomplete {
            return None;
        }
        let message = format!("no HTTP filter before the router is called `{}`", entry.key);
        let names = filters.filters.iter().map(|filter| filter.name.as_str());
        let near = nearest(&entry.key, names);
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "it would have no effect: remove it, or add the filter".to_owned(),
        };
        cx.report(Diagnostic::new(&entry.place, message).help(help));
        return None;
    };
    let accepted = route_schema(&filter.config);
    let name = entry.key.clone();
    let found = any(cx, &entry.node, "what a route says about this filter", &accepted)?;
    if found.schema.message != FILTER_CONFIG.message {
        return Some(FilterOverride { name, disabled: false, config: Some(route_config(found)?) });
    }
    let m = found.message;
    let disabled = m.bool("disabled");
    m.bool("is_optional");
    let config = m.get("config");
    if config.is_none() && !disabled {
        m.error("it says nothing: give `config`, or `disabled: true`");
    }
    let what = "what a route says about this filter";
    let config = match config.filter(|node| !is_empty(node)) {
        // What is disabled is not looked at.
        Some(node) => any(cx, node, what, &accepted[1..]).and_then(route_config),
        None => None,
    };
    m.finish();
    Some(FilterOverride { name, disabled, config })
}

/// Which messages a route may say about a filter: the first is that for any filter.
fn route_schema(config: &HttpFilterConfig) -> Vec<&'static Schema> {
    let own = match config {
        HttpFilterConfig::Buffer(_) => Some(&BUFFER_PER_ROUTE),
        HttpFilterConfig::Cors => Some(&CORS_POLICY),
        HttpFilterConfig::Fault(_) => Some(&FAULT),
        HttpFilterConfig::LocalRateLimit(_) => Some(&LOCAL_RATE_LIMIT),
        HttpFilterConfig::HealthCheck(_) => None,
    };
    [Some(&FILTER_CONFIG), own].into_iter().flatten().collect()
}

fn route_config(found: Any<'_>) -> Option<RouteFilterConfig> {
    let Any { schema, message: m } = found;
    Some(match schema.message {
        name if name == BUFFER_PER_ROUTE.message => RouteFilterConfig::Buffer(buffer_per_route(m)?),
        name if name == CORS_POLICY.message => {
            RouteFilterConfig::Cors(Box::new(cors::cors_policy(m)?))
        }
        name if name == FAULT.message => RouteFilterConfig::Fault(Box::new(fault::fault(m)?)),
        _ => {
            let limit = local_rate_limit::local_rate_limit(m, true)?;
            RouteFilterConfig::LocalRateLimit(Box::new(limit))
        }
    })
}

fn buffer_per_route(m: Message<'_>) -> Option<Option<u32>> {
    let out = match m.one_of(&["disabled", "buffer"], true)? {
        ("disabled", node) => {
            if !m.bool("disabled") {
                m.cx.error(&node.span, "`disabled` must be `true`, or not be given");
            }
            Some(None)
        }
        _ => m.message("buffer", &BUFFER).and_then(buffer).map(Some),
    };
    m.finish();
    out
}

/// An `Any` that holds nothing.
fn is_empty(node: &Node) -> bool {
    matches!(&node.value, Value::Map(entries) if entries.is_empty())
}
