//! Listeners and their filter chains.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::decode::any::typed_config;
use crate::config::decode::http_connection_manager::http_connection_manager;
use crate::config::decode::shared::ip_port;
use crate::config::decode::tls;
use crate::config::diagnostic::Diagnostic;
use crate::config::message::{Context, Message, Variants};
use crate::config::model::{FilterChain, HttpConnectionManager, Listener};
use crate::config::schema::http::HTTP_CONNECTION_MANAGER;
use crate::config::schema::listener::{
    FILTER_CHAIN, FILTER_CHAIN_MATCH, LISTENER, LISTENER_FILTER, NETWORK_FILTER, TLS_INSPECTOR,
};
use crate::config::schema::tls::DOWNSTREAM_TLS;
use crate::config::source::Span;
use crate::config::yaml::Node;

/// Envoy's default for both sides of a connection.
pub(super) const DEFAULT_BUFFER: u32 = 1 << 20;

/// Whether they are inbound, which is all that counts here.
const DIRECTIONS: &Variants<bool> =
    &[("UNSPECIFIED", 0, Some(false)), ("INBOUND", 1, Some(true)), ("OUTBOUND", 2, Some(false))];

pub(super) fn listener(cx: &Context, node: &Node) -> Option<Listener> {
    let m = Message::open(cx, node, &LISTENER)?;
    let address = ip_port(&m, "address");
    listener_filters(&m);
    let chains = filter_chains(&m);
    let out = Listener {
        name: m.string("name").unwrap_or_default(),
        address: address.unwrap_or_else(|| ([0, 0, 0, 0], 0).into()),
        stat_prefix: m.string("stat_prefix"),
        per_connection_buffer_limit: buffer_limit(&m),
        backlog: m.u32("tcp_backlog_size"),
        connection_limit: None,
        reuse_port: m.optional_bool("enable_reuse_port").unwrap_or(true),
        inbound: m.enumeration("traffic_direction", DIRECTIONS).unwrap_or(false),
        filter_chains: chains,
    };
    m.finish();
    // A listener without an address would only add a second, misleading error.
    address.map(|_| out)
}

/// `per_connection_buffer_limit_bytes`
fn buffer_limit(m: &Message<'_>) -> usize {
    let limit = m.u32("per_connection_buffer_limit_bytes");
    usize::try_from(limit.unwrap_or(DEFAULT_BUFFER)).unwrap_or(usize::MAX)
}

/// Only the TLS inspector, which needs no switch: SNI is always read.
fn listener_filters(m: &Message<'_>) {
    for filter in m.messages("listener_filters", &LISTENER_FILTER) {
        if let Some(any) = typed_config(&filter, "a listener filter", &[&TLS_INSPECTOR]) {
            any.message.finish();
        }
        filter.finish();
    }
}

fn filter_chains(m: &Message<'_>) -> Vec<FilterChain> {
    let nodes = m.list("filter_chains");
    if nodes.is_empty() {
        m.cx.report(
            Diagnostic::new(m.span(), "no filter chains specified for this listener")
                .help("add `filter_chains` with an HttpConnectionManager"),
        );
    }
    let mut taken: HashMap<String, usize> = HashMap::new();
    let mut out = Vec::new();
    for node in nodes {
        if let Some(chain) = filter_chain(m.cx, node) {
            check_overlap(m.cx, &chain, &node.span, &mut taken);
            out.push(chain);
        }
    }
    out
}

/// No two chains may match the same connection equally well.
fn check_overlap(
    cx: &Context,
    chain: &FilterChain,
    place: &Span,
    taken: &mut HashMap<String, usize>,
) {
    let any = [String::new()];
    let names = if chain.server_names.is_empty() { &any[..] } else { &chain.server_names };
    for name in names {
        let Some(line) = taken.insert(name.clone(), place.line) else {
            continue;
        };
        let what = if name.is_empty() {
            "has the same matching rules as another: both match every connection".to_owned()
        } else {
            format!("has the same matching rules as another: both match `{name}`")
        };
        cx.report(
            Diagnostic::new(place, format!("this filter chain {what}")).help(format!(
                "the other one is on line {line}; tell them apart by `server_names`"
            )),
        );
    }
}

fn filter_chain(cx: &Context, node: &Node) -> Option<FilterChain> {
    let m = Message::open(cx, node, &FILTER_CHAIN)?;
    let server_names =
        m.message("filter_chain_match", &FILTER_CHAIN_MATCH).map(server_names).unwrap_or_default();
    let tls = tls::context(&m, &DOWNSTREAM_TLS).map(tls::downstream);
    let http = network_filters(&m);
    let name = m.string("name").unwrap_or_default();
    m.finish();
    Some(FilterChain { name, server_names, tls, http: Arc::new(http?) })
}

fn server_names(m: Message<'_>) -> Vec<String> {
    let mut out = Vec::new();
    for (name, place) in m.strings("server_names") {
        let stars = name.matches('*').count();
        if stars > usize::from(name.len() > 2 && name.starts_with("*.")) {
            m.cx.report(
                Diagnostic::new(place, "partial wildcards are not supported in `server_names`")
                    .help("a name is exact or begins with `*.`; leave it out to match all"),
            );
            continue;
        }
        out.push(name.to_ascii_lowercase());
    }
    m.finish();
    out
}

/// One connection manager, which ends the chain.
fn network_filters(m: &Message<'_>) -> Option<HttpConnectionManager> {
    let filters = m.messages("filters", &NETWORK_FILTER);
    let count = filters.len();
    if count == 0 {
        m.error("this filter chain has no filters: it needs an HttpConnectionManager");
    }
    let mut http = None;
    for (i, filter) in filters.into_iter().enumerate() {
        if let Some(found) = typed_config(&filter, "a network filter", &[&HTTP_CONNECTION_MANAGER])
        {
            if i + 1 < count {
                filter.error(
                    "the HttpConnectionManager is a terminal filter: it must be the last of its chain",
                );
            }
            http = Some(http_connection_manager(found.message));
        }
        filter.finish();
    }
    http
}
