//! The endpoints of clusters, as a discovery service would give them.

use regex::Regex;
use serde_json::{Map, Value, json};

use super::TYPES;
use crate::admin::listeners::address;
use crate::admin::status::{ClusterStatus, HealthFlags, HostStatus};

/// Where the endpoints of all clusters are now.
pub(super) fn section(clusters: &[ClusterStatus], name: Option<&Regex>) -> Value {
    let wanted = |cluster: &&ClusterStatus| name.is_none_or(|name| name.is_match(&cluster.name));
    let configs = clusters.iter().filter(wanted).map(|cluster| {
        let mut config = json!({
            "@type": format!("{TYPES}config.endpoint.v3.ClusterLoadAssignment"),
            "cluster_name": cluster.name,
            "policy": { "overprovisioning_factor": 140 },
        });
        if !cluster.hosts.is_empty() {
            config["endpoints"] = localities(&cluster.hosts).into();
        }
        json!({ "endpoint_config": config })
    });
    json!({
        "@type": format!("{TYPES}admin.v3.EndpointsConfigDump"),
        "static_endpoint_configs": configs.collect::<Value>(),
    })
}

/// Hosts by priority and locality, in the order in which these first come.
fn localities(hosts: &[HostStatus]) -> Vec<Value> {
    let place = |host: &HostStatus| {
        (host.priority, [host.region.clone(), host.zone.clone(), host.sub_zone.clone()])
    };
    let mut places: Vec<_> = Vec::new();
    for host in hosts {
        if !places.contains(&place(host)) {
            places.push(place(host));
        }
    }
    let localities = places.into_iter().map(|at| {
        let endpoints = hosts.iter().filter(|host| place(host) == at).map(endpoint);
        let (priority, names) = &at;
        let named = ["region", "zone", "sub_zone"].into_iter().zip(names);
        let named = named.filter(|(_, name)| !name.is_empty());
        let locality = named.map(|(key, name)| (key.to_owned(), json!(name)));
        let mut json = json!({
            "locality": locality.collect::<Map<_, _>>(),
            "lb_endpoints": endpoints.collect::<Value>(),
            "load_balancing_weight": 0,
        });
        if *priority != 0 {
            json["priority"] = json!(priority);
        }
        json
    });
    localities.collect()
}

fn endpoint(host: &HostStatus) -> Value {
    let mut endpoint = json!({ "address": address(host.address), "health_check_config": {} });
    if !host.hostname.is_empty() {
        endpoint["hostname"] = json!(host.hostname);
    }
    let healthy = host.health == HealthFlags::default();
    let mut json = json!({
        "endpoint": endpoint,
        "health_status": if healthy { "HEALTHY" } else { "UNHEALTHY" },
        "load_balancing_weight": host.weight,
    });
    // Envoy makes some, of nothing, for endpoints that it has looked up.
    if !host.hostname.is_empty() {
        json["metadata"] = json!({});
    }
    json
}
