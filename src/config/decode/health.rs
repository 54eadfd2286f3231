//! What the health of endpoints means for load balancing.

use front_proxy_layers::cluster::HealthOptions;
use front_proxy_layers::discover::Checking;
use front_proxy_layers::health::HealthStatus;

use crate::config::decode::shared::ip_port;
use crate::config::message::{Message, Variants};
use crate::config::schema::cluster::ASSIGNMENT_POLICY;
use crate::config::schema::health::{COMMON_LB, ENDPOINT_HEALTH_CHECK, PERCENT};

pub(super) const STATUSES: &Variants<HealthStatus> = &[
    ("UNKNOWN", 0, Some(HealthStatus::Unknown)),
    ("HEALTHY", 1, Some(HealthStatus::Healthy)),
    ("UNHEALTHY", 2, Some(HealthStatus::Unhealthy)),
    ("DRAINING", 3, Some(HealthStatus::Draining)),
    ("TIMEOUT", 4, Some(HealthStatus::Timeout)),
    ("DEGRADED", 5, Some(HealthStatus::Degraded)),
];

/// `common_lb_config` of a cluster, and what else belongs to it.
pub(super) fn options(cluster: &Message<'_>) -> HealthOptions {
    let mut out = HealthOptions {
        ignore_health_on_removal: cluster.bool("ignore_health_on_host_removal"),
        close_connections_on_failure: cluster.bool("close_connections_on_host_health_failure"),
        ..HealthOptions::default()
    };
    if let Some(m) = cluster.message("common_lb_config", &COMMON_LB) {
        if let Some(percent) = m.message("healthy_panic_threshold", &PERCENT) {
            // Envoy rounds as well.
            let value = percent.number("value", 0.0..=100.0).unwrap_or(0.0);
            out.panic_threshold = value.round() as u32;
            percent.finish();
        }
        out.ignore_new_until_checked = m.bool("ignore_new_hosts_until_first_hc");
        m.finish();
    }
    out
}

/// `policy` of a load assignment.
pub(super) fn policy(assignment: &Message<'_>, out: &mut HealthOptions) {
    let Some(m) = assignment.message("policy", &ASSIGNMENT_POLICY) else {
        return;
    };
    if let Some(factor) = m.u32_in("overprovisioning_factor", 1..=i64::from(u32::MAX)) {
        out.overprovisioning_factor = factor;
    }
    out.weighted_priority_health = m.bool("weighted_priority_health");
    m.finish();
}

/// `health_check_config` of an endpoint.
pub(super) fn checking(endpoint: &Message<'_>) -> Option<Checking> {
    let m = endpoint.message("health_check_config", &ENDPOINT_HEALTH_CHECK)?;
    let port = m.u32_in("port_value", 0..=65535).and_then(|port| u16::try_from(port).ok());
    let address = if m.has("address") { ip_port(&m, "address") } else { None };
    let out = Checking {
        disabled: m.bool("disable_active_health_check"),
        // An address brings its own.
        port: address.map(|address| address.port()).or(port).filter(|port| *port != 0),
        ip: address.map(|address| address.ip()),
        hostname: m.string("hostname").map(Into::into),
    };
    m.finish();
    Some(out)
}
