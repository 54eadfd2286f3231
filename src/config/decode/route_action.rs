//! Routes that send requests to a cluster.

use std::time::Duration;

use front_proxy_layers::route::{
    HashPolicy, HostRewrite, PathRewrite, RequestRewrite, UpgradeRule,
};
use http::{HeaderValue, StatusCode};

use crate::config::decode::filters::{overrides, route_cors_policy};
use crate::config::decode::headers::{header_edits, header_name};
use crate::config::decode::retry;
use crate::config::decode::route_table::TableRules;
use crate::config::decode::shared::substitution;
use crate::config::diagnostic::Diagnostic;
use crate::config::message::{ClusterReference, Context, Message, Variants};
use crate::config::model::{Forward, Target, WeightedCluster};
use crate::config::schema::route::{
    CLUSTER_WEIGHT, CONNECT_CONFIG, HASH_CONNECTION, HASH_COOKIE, HASH_HEADER, HASH_POLICY,
    HASH_QUERY, ROUTE_ACTION, ROUTE_UPGRADE_CONFIG, WEIGHTED_CLUSTERS,
};
use crate::config::yaml::Node;

const NOT_FOUND_CODES: &Variants<StatusCode> = &[
    ("SERVICE_UNAVAILABLE", 0, Some(StatusCode::SERVICE_UNAVAILABLE)),
    ("NOT_FOUND", 1, Some(StatusCode::NOT_FOUND)),
    ("INTERNAL_SERVER_ERROR", 2, Some(StatusCode::INTERNAL_SERVER_ERROR)),
];

/// Whether a priority is the high one.
pub(super) const PRIORITIES: &Variants<bool> =
    &[("DEFAULT", 0, Some(false)), ("HIGH", 1, Some(true))];

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) fn forward(cx: &Context, node: &Node, rules: TableRules<'_>) -> Option<Forward> {
    let m = Message::open(cx, node, &ROUTE_ACTION)?;
    let target = target(&m, rules);
    // The route's own policy replaces that of its virtual host as a whole.
    let retry = retry::retry(&m, "retry_policy").or_else(|| rules.retry.cloned());
    let path_rewrite = path_rewrite(&m);
    let host_rewrite = host_rewrite(&m);
    let out = Forward {
        target: target.unwrap_or_else(|| Target::Weighted(Vec::new())),
        cluster_not_found: m
            .enumeration("cluster_not_found_response_code", NOT_FOUND_CODES)
            .unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
        timeout: m.timeout("timeout", Some(DEFAULT_TIMEOUT)),
        idle_timeout: m.duration("idle_timeout").map(|d| Some(d).filter(|d| !d.is_zero())),
        path_rewrite,
        host_rewrite,
        append_x_forwarded_host: m.bool("append_x_forwarded_host"),
        retry,
        upgrades: upgrades(&m),
        hash_policy: m
            .messages("hash_policy", &HASH_POLICY)
            .into_iter()
            .filter_map(hash_policy)
            .collect(),
        high_priority: m.enumeration("priority", PRIORITIES).unwrap_or(false),
        cors: route_cors_policy(&m),
    };
    m.finish();
    Some(out)
}

fn target(m: &Message<'_>, rules: TableRules<'_>) -> Option<Target> {
    match m.one_of(&["cluster", "weighted_clusters"], true)? {
        ("cluster", node) => {
            let name = m.required_string("cluster");
            refer(m.cx, &name, node, false, rules.validate_clusters);
            Some(Target::Cluster(name))
        }
        _ => weighted(m, rules).map(Target::Weighted),
    }
}

fn refer(cx: &Context, name: &str, node: &Node, weighted: bool, validate: bool) {
    if validate && !name.is_empty() {
        cx.refer_to_cluster(ClusterReference {
            name: name.to_owned(),
            place: node.span.clone(),
            weighted,
        });
    }
}

fn weighted(m: &Message<'_>, rules: TableRules<'_>) -> Option<Vec<WeightedCluster>> {
    let m = m.message("weighted_clusters", &WEIGHTED_CLUSTERS)?;
    let prefix = m.string("runtime_key_prefix");
    let mut total: u64 = 0;
    let mut out = Vec::new();
    for cluster in m.messages("clusters", &CLUSTER_WEIGHT) {
        let name = cluster.required_string("name");
        if let Some(node) = cluster.get("name") {
            refer(cluster.cx, &name, node, true, rules.validate_clusters);
        }
        cluster.required("weight");
        let weight = cluster.u32("weight");
        // An unreadable weight has been reported; don't complain about the sum as well.
        total += u64::from(weight.unwrap_or(1));
        let runtime_key = |prefix| m.cx.runtime.key(&format!("{prefix}.{name}"));
        out.push(WeightedCluster {
            runtime_key: prefix.as_deref().map(runtime_key),
            name,
            weight: weight.unwrap_or(0),
            headers: header_edits(&cluster),
            filters: overrides(&cluster, rules.filters),
        });
        cluster.finish();
    }
    if out.is_empty() {
        m.error("`weighted_clusters` needs at least one cluster");
    } else if total == 0 {
        m.error("the sum of weights in `weighted_clusters` must be greater than 0");
    } else if total > u64::from(u32::MAX) {
        m.error(format!("the sum of weights in `weighted_clusters` exceeds {}", u32::MAX));
    }
    m.finish();
    Some(out)
}

fn path_rewrite(m: &Message<'_>) -> Option<PathRewrite> {
    match m.one_of(&["prefix_rewrite", "regex_rewrite"], false)? {
        ("prefix_rewrite", _) => m.header_text("prefix_rewrite").map(PathRewrite::Prefix),
        _ => substitution(m, "regex_rewrite")
            .map(|(pattern, substitution)| PathRewrite::Regex { pattern, substitution }),
    }
}

fn host_rewrite(m: &Message<'_>) -> Option<HostRewrite> {
    let kinds = [
        "host_rewrite_literal",
        "auto_host_rewrite",
        "host_rewrite_header",
        "host_rewrite_path_regex",
    ];
    match m.one_of(&kinds, false)? {
        ("host_rewrite_literal", node) => {
            let text = m.header_text("host_rewrite_literal")?;
            let rewrite = HeaderValue::from_str(&text).ok().map(HostRewrite::Literal);
            let rewrite = rewrite.filter(|r| RequestRewrite::new(None, Some(r.clone())).is_ok());
            if rewrite.is_none() {
                m.cx.error(&node.span, format!("`{text}` can't be a host"));
            }
            rewrite
        }
        ("auto_host_rewrite", _) => m.bool("auto_host_rewrite").then_some(HostRewrite::Auto),
        ("host_rewrite_header", node) => {
            let text = m.required_string("host_rewrite_header");
            header_name(m.cx, &text, &node.span).map(HostRewrite::Header)
        }
        _ => substitution(m, "host_rewrite_path_regex")
            .map(|(pattern, substitution)| HostRewrite::PathRegex { pattern, substitution }),
    }
}

fn upgrades(m: &Message<'_>) -> Vec<UpgradeRule> {
    let mut out: Vec<UpgradeRule> = Vec::new();
    for upgrade in m.messages("upgrade_configs", &ROUTE_UPGRADE_CONFIG) {
        let upgrade_type = upgrade.required_string("upgrade_type");
        if out.iter().any(|u| u.upgrade_type.eq_ignore_ascii_case(&upgrade_type)) {
            upgrade.error(format!("duplicate upgrade `{upgrade_type}`"));
        }
        let connect = upgrade.message("connect_config", &CONNECT_CONFIG);
        let connect_tcp = connect.map(Message::finish).is_some();
        if connect_tcp && !upgrade_type.eq_ignore_ascii_case("CONNECT") {
            let place = upgrade.entry("connect_config").map_or(upgrade.span(), |e| &e.place);
            upgrade.cx.report(
                Diagnostic::new(
                    place,
                    format!("the non-CONNECT upgrade type `{upgrade_type}` has a `connect_config`"),
                )
                .help("remove `connect_config`, or set `upgrade_type: CONNECT`"),
            );
        }
        out.push(UpgradeRule {
            upgrade_type,
            enabled: upgrade.optional_bool("enabled").unwrap_or(true),
            connect_tcp,
        });
        upgrade.finish();
    }
    out
}

fn hash_policy(m: Message<'_>) -> Option<HashPolicy> {
    let terminal = m.bool("terminal");
    let kinds = ["header", "cookie", "connection_properties", "query_parameter"];
    let given = m.one_of(&kinds, true);
    let cx = m.cx;
    m.finish();
    match given? {
        ("header", node) => {
            let h = Message::open(cx, node, &HASH_HEADER)?;
            let text = h.required_string("header_name");
            let place = h.place_of("header_name");
            let name = if text.is_empty() { None } else { header_name(cx, &text, place) };
            h.finish();
            name.map(|name| HashPolicy::Header { name, terminal })
        }
        ("cookie", node) => {
            let c = Message::open(cx, node, &HASH_COOKIE)?;
            let out = HashPolicy::Cookie {
                name: c.required_string("name"),
                ttl: c.duration("ttl"),
                path: c.string("path").unwrap_or_default(),
                terminal,
            };
            c.finish();
            Some(out)
        }
        ("connection_properties", node) => {
            let c = Message::open(cx, node, &HASH_CONNECTION)?;
            let source_ip = c.bool("source_ip");
            c.finish();
            // `source_ip: false` hashes nothing.
            source_ip.then_some(HashPolicy::SourceIp { terminal })
        }
        (_, node) => {
            let q = Message::open(cx, node, &HASH_QUERY)?;
            let name = q.required_string("name");
            q.finish();
            Some(HashPolicy::Query { name, terminal })
        }
    }
}
