//! What is counted, how it is named, and where it is sent.

use std::time::Duration;

use regex::Regex;

use crate::config::decode::any::any;
use crate::config::decode::route_match::string_match;
use crate::config::decode::shared::datagram_address;
use crate::config::diagnostic::Diagnostic;
use crate::config::message::{Context, Message};
use crate::config::model::{Bootstrap, StatsFlush};
use crate::config::re2;
use crate::config::schema::bootstrap::{
    DOG_STATSD_SINK, HISTOGRAM_BUCKETS, LIST_STRING_MATCHER, STATS_CONFIG, STATS_MATCHER,
    STATS_SINK, STATSD_SINK, TAG_SPECIFIER,
};
use crate::config::yaml::{Node, Value};
use crate::stats::{HistogramBuckets, Matcher, Rules, StatsdOptions, Tag};

/// The bootstrap's `stats_*`.
pub(super) fn read(m: &Message<'_>, out: &mut Bootstrap) {
    if let Some(config) = m.message("stats_config", &STATS_CONFIG) {
        out.stats = rules(config);
    }
    out.stats_sinks = m.messages("stats_sinks", &STATS_SINK).into_iter().filter_map(sink).collect();
    out.stats_flush = flush(m).unwrap_or_default();
}

fn flush(m: &Message<'_>) -> Option<StatsFlush> {
    match m.one_of(&["stats_flush_interval", "stats_flush_on_admin"], false)? {
        ("stats_flush_interval", node) => {
            let interval = m.duration("stats_flush_interval")?;
            // Envoy's limits.
            if !(Duration::from_millis(1)..Duration::from_secs(300)).contains(&interval) {
                let message = "`stats_flush_interval` must be from 0.001s to less than 300s";
                m.cx.error(&node.span, message);
            }
            Some(StatsFlush::Every(interval))
        }
        (name, node) => {
            if m.optional_bool(name) == Some(false) {
                let message = format!("`{name}` can only be `true`");
                m.cx.report(Diagnostic::new(&node.span, message).help("leave it out"));
            }
            Some(StatsFlush::OnAdmin)
        }
    }
}

fn rules(m: Message<'_>) -> Rules {
    let rules = Rules {
        default_tags: m.optional_bool("use_all_default_tags").unwrap_or(true),
        tags: m.messages("stats_tags", &TAG_SPECIFIER).into_iter().filter_map(tag).collect(),
        matcher: m.message("stats_matcher", &STATS_MATCHER).map(matcher).unwrap_or_default(),
        buckets: m
            .messages("histogram_bucket_settings", &HISTOGRAM_BUCKETS)
            .into_iter()
            .filter_map(buckets)
            .collect(),
    };
    m.finish();
    rules
}

fn tag(m: Message<'_>) -> Option<Tag> {
    let name = m.required_string("tag_name");
    let given = m.one_of(&["regex", "fixed_value"], false);
    let tag = match given {
        Some(("fixed_value", node)) => {
            let value = m.cx.text(node)?.to_owned();
            Some(Tag::Fixed { name, value })
        }
        Some((_, node)) if !m.cx.text(node)?.is_empty() => {
            let pattern = m.cx.text(node)?;
            pattern_of(m.cx, node, pattern).map(|regex| Tag::found(name, pattern, regex))
        }
        _ if name.is_empty() => None,
        _ if DEFAULT_TAGS.contains(&name.as_str()) => Some(Tag::Default(name)),
        _ => {
            m.error(format!("`{name}` is none of Envoy's own tags, so it needs a `regex`"));
            None
        }
    };
    m.finish();
    tag
}

fn pattern_of(cx: &Context, node: &Node, pattern: &str) -> Option<Regex> {
    // What is found, not only whether: that takes the expression itself.
    let compiled = re2::unanchored(pattern)
        .and_then(|pattern| Regex::new(pattern.as_str()).map_err(|e| e.to_string()));
    match compiled {
        Ok(regex) if regex.captures_len() < 2 => {
            let message = "the regular expression has no group, so it finds no tag";
            cx.report(
                Diagnostic::new(&node.span, message)
                    .help("its first group is left out of the name, its second is the value"),
            );
            None
        }
        Ok(regex) => Some(regex),
        Err(why) => {
            let message = format!("this regular expression is not valid: {why}");
            cx.report(
                Diagnostic::new(&node.span, message)
                    .help("no look-around and no back-references are supported"),
            );
            None
        }
    }
}

fn matcher(m: Message<'_>) -> Matcher {
    let given = m.one_of(&["reject_all", "exclusion_list", "inclusion_list"], true);
    let matcher = match given {
        Some(("reject_all", _)) if m.bool("reject_all") => Matcher::None,
        Some(("exclusion_list", _)) => Matcher::Exclude(patterns(&m, "exclusion_list")),
        Some(("inclusion_list", _)) => Matcher::Include(patterns(&m, "inclusion_list")),
        _ => Matcher::All,
    };
    m.finish();
    matcher
}

fn patterns(m: &Message<'_>, field: &str) -> Vec<front_proxy_layers::route::StringMatch> {
    let Some(list) = m.message(field, &LIST_STRING_MATCHER) else {
        return Vec::new();
    };
    let patterns = list.list("patterns");
    if patterns.is_empty() {
        list.missing("patterns");
    }
    let patterns = patterns.into_iter().filter_map(|node| string_match(list.cx, node)).collect();
    list.finish();
    patterns
}

fn buckets(m: Message<'_>) -> Option<HistogramBuckets> {
    let names = m.required("match").and_then(|node| string_match(m.cx, node));
    let mut bounds: Vec<f64> = Vec::new();
    for node in m.list("buckets") {
        let Some(bound) = number(node).filter(|bound| *bound > 0.0 && bound.is_finite()) else {
            m.cx.error(&node.span, "a bucket's bound must be a number above 0");
            continue;
        };
        m.cx.read_number(node, bound);
        if bounds.contains(&bound) {
            m.cx.error(&node.span, format!("the bound {bound} is given twice"));
        }
        bounds.push(bound);
    }
    bounds.sort_by(f64::total_cmp);
    m.finish();
    Some(HistogramBuckets { names: names?, bounds: bounds.into() })
}

fn number(node: &Node) -> Option<f64> {
    let Value::Scalar(scalar) = &node.value else { return None };
    scalar.text().parse().ok()
}

fn sink(m: Message<'_>) -> Option<StatsdOptions> {
    // Its name says nothing: as everywhere, the type counts.
    m.string("name");
    let found = m
        .required("typed_config")
        .and_then(|node| any(m.cx, node, "a stats sink", &[&STATSD_SINK, &DOG_STATSD_SINK]));
    m.finish();
    let found = found?;
    let sink = found.message;
    let tags = found.schema.message == DOG_STATSD_SINK.message;
    let address = datagram_address(&sink, "address");
    let prefix = sink.string("prefix");
    let most = if tags { sink.integer("max_bytes_per_datagram", 1..=i64::MAX) } else { None };
    sink.finish();
    let mut options = StatsdOptions::new(address?);
    options.tags = tags;
    options.max_bytes_per_datagram = most.and_then(|most| usize::try_from(most).ok());
    if let Some(prefix) = prefix {
        options.prefix = prefix;
    }
    Some(options)
}

/// The tags that Envoy knows how to find by itself.
const DEFAULT_TAGS: &[&str] = &[
    "envoy.clientssl_prefix",
    "envoy.cluster_name",
    "envoy.connection_limit_prefix",
    "envoy.dns_filter_prefix",
    "envoy.dynamo_operation",
    "envoy.dynamo_partition_id",
    "envoy.dynamo_table",
    "envoy.ext_authz_prefix",
    "envoy.fault_downstream_cluster",
    "envoy.google_grpc_client_prefix",
    "envoy.grpc_bridge_method",
    "envoy.grpc_bridge_service",
    "envoy.http_conn_manager_prefix",
    "envoy.http_user_agent",
    "envoy.listener_address",
    "envoy.local_http_ratelimit_prefix",
    "envoy.local_listener_ratelimit_prefix",
    "envoy.local_network_ratelimit_prefix",
    "envoy.mongo_callsite",
    "envoy.mongo_cmd",
    "envoy.mongo_collection",
    "envoy.mongo_prefix",
    "envoy.ratelimit_prefix",
    "envoy.rbac_http_prefix",
    "envoy.rbac_policy_name",
    "envoy.rbac_prefix",
    "envoy.rds_route_config",
    "envoy.redis_prefix",
    "envoy.response_code",
    "envoy.response_code_class",
    "envoy.route",
    "envoy.scoped_rds_config",
    "envoy.ssl_cipher",
    "envoy.ssl_cipher_suite",
    "envoy.ssl_curve",
    "envoy.ssl_sigalg",
    "envoy.ssl_version",
    "envoy.tcp_prefix",
    "envoy.thrift_prefix",
    "envoy.tls_certificate",
    "envoy.udp_prefix",
    "envoy.virtual_cluster",
    "envoy.virtual_host",
    "envoy.worker_id",
    "envoy.xds_authority",
    "envoy.xds_resource_name",
];
