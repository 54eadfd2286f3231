//! `/clusters`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::listeners::address;
use super::page::Page;
use super::state::AdminState;
use super::status::{
    ClusterStatus, HealthFlag, HealthFlags, HostStatus, OutlierStatus, PriorityLimits,
};
use crate::stats::{filter_regex, parameter};

pub(super) fn show(state: &AdminState, query: &str) -> Page {
    let filter = parameter(query, "filter").filter(|filter| !filter.is_empty());
    let Ok(filter) = filter.map(|filter| filter_regex(&filter)).transpose() else {
        return Page::bad_request("Invalid re2 regex");
    };
    let mut clusters = state.clusters.clusters();
    clusters.retain(|cluster| filter.as_ref().is_none_or(|filter| filter.is_match(&cluster.name)));
    if parameter(query, "format").as_deref() == Some("json") {
        let clusters = clusters.iter().map(cluster_json).collect::<Vec<_>>();
        let mut page = Map::new();
        if !clusters.is_empty() {
            page.insert("cluster_statuses".to_owned(), clusters.into());
        }
        return Page::json(&Value::Object(page));
    }
    let pages = clusters.into_iter().map(|cluster| cluster_text(&cluster).into());
    Page::text_stream(Box::new(pages))
}

fn cluster_text(cluster: &ClusterStatus) -> String {
    let mut page = String::new();
    let name = &cluster.name;
    let _ = writeln!(page, "{name}::observability_name::{}", cluster.observability_name);
    if let Some(outlier) = &cluster.outlier {
        for (key, rate) in outlier_rates(outlier) {
            let _ = writeln!(page, "{name}::outlier::{key}::{}", rate.unwrap_or(-1.0));
        }
    }
    let priorities = [("default", &cluster.default_priority), ("high", &cluster.high_priority)];
    for (priority, limits) in priorities {
        for (key, limit) in limits_by_name(limits) {
            let _ = writeln!(page, "{name}::{priority}_priority::{key}::{limit}");
        }
    }
    let _ = writeln!(page, "{name}::added_via_api::{}", cluster.added_via_api);
    for host in &cluster.hosts {
        host_text(&mut page, name, host);
    }
    page
}

fn host_text(page: &mut String, cluster: &str, host: &HostStatus) {
    let address = host.address;
    // One list in one order: the gauges stand among the counters here, but not in the JSON form.
    let mut stats = [counters(host).as_slice(), gauges(host).as_slice()].concat();
    stats.sort_unstable();
    for (key, value) in stats {
        let _ = writeln!(page, "{cluster}::{address}::{key}::{value}");
    }
    let rate = |rate: Option<f64>| rate.unwrap_or(-1.0).to_string();
    let fields = [
        ("hostname", host.hostname.clone()),
        ("health_flags", health_text(host.health)),
        ("weight", host.weight.to_string()),
        ("region", host.region.clone()),
        ("zone", host.zone.clone()),
        ("sub_zone", host.sub_zone.clone()),
        ("canary", host.canary.to_string()),
        ("priority", host.priority.to_string()),
        ("success_rate", rate(host.success_rate)),
        ("local_origin_success_rate", rate(host.local_origin_success_rate)),
    ];
    for (key, value) in fields {
        let _ = writeln!(page, "{cluster}::{address}::{key}::{value}");
    }
}

fn health_text(health: HealthFlags) -> String {
    let text = health.iter().flat_map(|flag| ["/", flag.as_str()]).collect::<String>();
    if text.is_empty() { "healthy".to_owned() } else { text }
}

/// As protobuf prints it: what has its default value is left out.
fn cluster_json(cluster: &ClusterStatus) -> Value {
    let mut json = Map::new();
    json.insert("name".to_owned(), cluster.name.clone().into());
    if cluster.added_via_api {
        json.insert("added_via_api".to_owned(), true.into());
    }
    if let Some(outlier) = &cluster.outlier {
        // The averages have no place in this form.
        for (key, rate) in outlier_rates(outlier) {
            if let Some(rate) = rate.filter(|_| key.ends_with("threshold")) {
                json.insert(key.to_owned(), json!({ "value": rate }));
            }
        }
    }
    if !cluster.hosts.is_empty() {
        let hosts = cluster.hosts.iter().map(host_json);
        json.insert("host_statuses".to_owned(), hosts.collect());
    }
    let mut high = json!({ "priority": "HIGH" });
    let mut default = json!({});
    let limits = [(&mut default, &cluster.default_priority), (&mut high, &cluster.high_priority)];
    for (json, limits) in limits {
        for (key, limit) in limits_by_name(limits) {
            json[key] = limit.into();
        }
    }
    json.insert("circuit_breakers".to_owned(), json!({ "thresholds": [default, high] }));
    json.insert("observability_name".to_owned(), cluster.observability_name.clone().into());
    Value::Object(json)
}

fn host_json(host: &HostStatus) -> Value {
    let mut json = Map::new();
    json.insert("address".to_owned(), address(host.address));
    let counters = counters(host).map(|(name, value)| stat(None, name, value));
    let gauges = gauges(host).map(|(name, value)| stat(Some("GAUGE"), name, value));
    json.insert("stats".to_owned(), counters.into_iter().chain(gauges).collect());
    json.insert("health_status".to_owned(), health_json(host.health));
    for (key, rate) in [
        ("success_rate", host.success_rate),
        ("local_origin_success_rate", host.local_origin_success_rate),
    ] {
        if let Some(rate) = rate {
            json.insert(key.to_owned(), json!({ "value": rate }));
        }
    }
    json.insert("weight".to_owned(), host.weight.into());
    if !host.hostname.is_empty() {
        json.insert("hostname".to_owned(), host.hostname.clone().into());
    }
    if host.priority != 0 {
        json.insert("priority".to_owned(), host.priority.into());
    }
    let locality = [("region", &host.region), ("zone", &host.zone), ("sub_zone", &host.sub_zone)];
    let locality = locality.into_iter().filter(|(_, value)| !value.is_empty());
    let locality = locality.map(|(key, value)| (key.to_owned(), Value::from(value.as_str())));
    json.insert("locality".to_owned(), Value::Object(locality.collect()));
    if host.canary {
        json.insert("canary".to_owned(), true.into());
    }
    Value::Object(json)
}

fn health_json(health: HealthFlags) -> Value {
    let mut json = Map::new();
    let mut status = "HEALTHY";
    for flag in health.iter() {
        let key = match flag {
            HealthFlag::FailedActiveHc => "failed_active_health_check",
            HealthFlag::DegradedActiveHc => "failed_active_degraded_check",
            // What discovery says is one field for all.
            HealthFlag::FailedStatus => {
                status = "UNHEALTHY";
                continue;
            }
            HealthFlag::StatusDraining => {
                status = "DRAINING";
                continue;
            }
            HealthFlag::DegradedStatus => {
                status = "DEGRADED";
                continue;
            }
            other => other.as_str(),
        };
        json.insert(key.to_owned(), true.into());
    }
    json.insert("eds_health_status".to_owned(), status.into());
    Value::Object(json)
}

fn stat(kind: Option<&str>, name: &str, value: u64) -> Value {
    let mut json = Map::new();
    if let Some(kind) = kind {
        json.insert("type".to_owned(), kind.into());
    }
    // 64-bit numbers are strings in protobuf's JSON.
    if value != 0 {
        json.insert("value".to_owned(), value.to_string().into());
    }
    json.insert("name".to_owned(), name.into());
    Value::Object(json)
}

fn counters(host: &HostStatus) -> [(&'static str, u64); 6] {
    let stats = &host.stats;
    [
        ("cx_connect_fail", stats.cx_connect_fail),
        ("cx_total", stats.cx_total),
        ("rq_error", stats.rq_error),
        ("rq_success", stats.rq_success),
        ("rq_timeout", stats.rq_timeout),
        ("rq_total", stats.rq_total),
    ]
}

fn gauges(host: &HostStatus) -> [(&'static str, u64); 3] {
    let stats = &host.stats;
    [
        ("cx_active", stats.cx_active),
        ("rq_active", stats.rq_active),
        ("rq_pending_active", stats.rq_pending_active),
    ]
}

fn limits_by_name(limits: &PriorityLimits) -> [(&'static str, u64); 4] {
    [
        ("max_connections", limits.max_connections),
        ("max_pending_requests", limits.max_pending_requests),
        ("max_requests", limits.max_requests),
        ("max_retries", limits.max_retries),
    ]
}

fn outlier_rates(outlier: &OutlierStatus) -> [(&'static str, Option<f64>); 4] {
    [
        ("success_rate_average", outlier.success_rate_average),
        ("success_rate_ejection_threshold", outlier.success_rate_ejection_threshold),
        ("local_origin_success_rate_average", outlier.local_origin_success_rate_average),
        (
            "local_origin_success_rate_ejection_threshold",
            outlier.local_origin_success_rate_ejection_threshold,
        ),
    ]
}
