//! Route tables: virtual hosts and their routes.

use std::collections::HashMap;

use crate::config::decode::filters::{HttpFilters, overrides, route_cors_policy};
use crate::config::decode::headers::header_edits;
use crate::config::decode::replies;
use crate::config::decode::retry::{self, Retry};
use crate::config::decode::route_action;
use crate::config::decode::route_match::route_match;
use crate::config::diagnostic::Diagnostic;
use crate::config::message::{Context, Message, Variants};
use crate::config::model::{RequireTls, Route, RouteAction, RouteTable, VirtualHost};
use crate::config::schema::route::{ROUTE, ROUTE_CONFIGURATION, VIRTUAL_HOST};
use crate::config::source::Span;
use crate::config::yaml::Node;

const REQUIRE_TLS: &Variants<RequireTls> = &[
    ("NONE", 0, Some(RequireTls::None)),
    ("EXTERNAL_ONLY", 1, Some(RequireTls::ExternalOnly)),
    ("ALL", 2, Some(RequireTls::All)),
];

/// Envoy's limit on the bodies of direct responses, unless the table sets its own.
const DEFAULT_MAX_BODY: u32 = 4096;

/// What a table says about all of its routes.
#[derive(Clone, Copy, Debug)]
pub(super) struct TableRules<'a> {
    pub(super) validate_clusters: bool,
    pub(super) max_body: u32,
    /// `retry_policy` of the virtual host.
    pub(super) retry: Option<&'a Retry>,
    /// The filters that it may say something about.
    pub(super) filters: &'a HttpFilters,
}

pub(super) fn route_table(cx: &Context, node: &Node, filters: &HttpFilters) -> Option<RouteTable> {
    let m = Message::open(cx, node, &ROUTE_CONFIGURATION)?;
    let rules = TableRules {
        validate_clusters: m.optional_bool("validate_clusters").unwrap_or(true),
        max_body: m.u32("max_direct_response_body_size_bytes").unwrap_or(DEFAULT_MAX_BODY),
        retry: None,
        filters,
    };
    let name = m.string("name").unwrap_or_default();
    let mut domains = Domains { table: &name, seen: HashMap::new() };
    let virtual_hosts = m
        .messages("virtual_hosts", &VIRTUAL_HOST)
        .into_iter()
        .map(|host| virtual_host(host, rules, &mut domains))
        .collect();
    let headers = header_edits(&m);
    let most_specific_wins = m.bool("most_specific_header_mutations_wins");
    let filters = overrides(&m, filters);
    m.finish();
    Some(RouteTable { name, virtual_hosts, headers, most_specific_wins, filters })
}

fn virtual_host(m: Message<'_>, rules: TableRules<'_>, domains: &mut Domains<'_>) -> VirtualHost {
    let retry = retry::retry(&m, "retry_policy");
    let rules = TableRules { retry: retry.as_ref(), ..rules };
    let names = m.strings("domains");
    if names.is_empty() {
        m.error("a virtual host needs `domains`; `\"*\"` stands for any");
    }
    let out = VirtualHost {
        name: m.required_string("name"),
        domains: names.into_iter().map(|(name, place)| domains.add(m.cx, name, place)).collect(),
        require_tls: m.enumeration("require_tls", REQUIRE_TLS).unwrap_or_default(),
        routes: m.list("routes").into_iter().filter_map(|n| route(m.cx, n, rules)).collect(),
        headers: header_edits(&m),
        request_attempt_count: m.bool("include_request_attempt_count"),
        response_attempt_count: m.bool("include_attempt_count_in_response"),
        filters: overrides(&m, rules.filters),
        cors: route_cors_policy(&m),
    };
    m.finish();
    out
}

/// The domains of a table so far, with the lines they stand on.
struct Domains<'a> {
    table: &'a str,
    seen: HashMap<String, usize>,
}

impl Domains<'_> {
    /// Domains are compared without case.
    fn add(&mut self, cx: &Context, name: &str, place: &Span) -> String {
        if name.contains(['\n', '\r', '\0']) {
            cx.error(place, "a domain must not hold line ends or NUL");
        }
        let domain = name.to_ascii_lowercase();
        if let Some(line) = self.seen.insert(domain.clone(), place.line) {
            let message = if domain == "*" {
                format!("only a single wildcard domain is permitted in route {}", self.table)
            } else {
                format!(
                    "only unique values for domains are permitted: \
                     duplicate entry of domain {domain} in route {}",
                    self.table
                )
            };
            cx.report(
                Diagnostic::new(place, message).help(format!("the other one is on line {line}")),
            );
        }
        domain
    }
}

fn route(cx: &Context, node: &Node, rules: TableRules<'_>) -> Option<Route> {
    let m = Message::open(cx, node, &ROUTE)?;
    let matching = m.required("match").and_then(|n| route_match(cx, n));
    let action = match m.one_of(&["route", "redirect", "direct_response"], true) {
        Some(("route", n)) => {
            route_action::forward(cx, n, rules).map(|f| RouteAction::Forward(Box::new(f)))
        }
        Some(("redirect", n)) => replies::redirect(cx, n).map(RouteAction::Redirect),
        Some((_, n)) => replies::direct_response(cx, n, rules.max_body).map(RouteAction::Direct),
        None => None,
    };
    let name = m.string("name").unwrap_or_default();
    let headers = header_edits(&m);
    let filters = overrides(&m, rules.filters);
    m.finish();
    Some(Route { name, matching: matching?, action: action?, headers, filters })
}
