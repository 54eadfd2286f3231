//! What `/clusters` shows of a cluster of the layers.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use front_proxy_layers::cluster::{Cluster, Priority, Resources};
use front_proxy_layers::endpoint::Endpoint;
use front_proxy_layers::outlier::Averages;

use super::{ClusterStatus, ClusterView, HostStats, HostStatus, OutlierStatus, PriorityLimits};

/// An app's own clusters, in this order.
impl ClusterView for Vec<Cluster> {
    fn clusters(&self) -> Vec<ClusterStatus> {
        self.iter().map(ClusterStatus::from).collect()
    }
}

impl From<&Cluster> for ClusterStatus {
    fn from(cluster: &Cluster) -> Self {
        Self {
            name: cluster.name().to_owned(),
            observability_name: cluster.names().stat.to_string(),
            default_priority: cluster.resources(Priority::Default).into(),
            high_priority: cluster.resources(Priority::High).into(),
            outlier: cluster.outlier_averages().map(OutlierStatus::from),
            hosts: cluster.endpoints().iter().map(|endpoint| (&**endpoint).into()).collect(),
            ..Self::default()
        }
    }
}

impl From<Averages> for OutlierStatus {
    fn from(averages: Averages) -> Self {
        Self {
            success_rate_average: averages.success_rate,
            success_rate_ejection_threshold: averages.success_rate_threshold,
            local_origin_success_rate_average: averages.local_origin_success_rate,
            local_origin_success_rate_ejection_threshold: averages
                .local_origin_success_rate_threshold,
        }
    }
}

impl From<&Resources> for PriorityLimits {
    fn from(resources: &Resources) -> Self {
        Self {
            max_connections: resources.connections.max().into(),
            max_pending_requests: resources.pending.max().into(),
            max_requests: resources.requests.max().into(),
            max_retries: resources.retries.max().into(),
        }
    }
}

impl From<&Endpoint> for HostStatus {
    fn from(endpoint: &Endpoint) -> Self {
        let mut status = Self::new(endpoint.address());
        // An address is no host name: Envoy shows it as empty.
        if endpoint.hostname().parse::<IpAddr>().is_err() {
            status.hostname = endpoint.hostname().to_owned();
        }
        status.weight = endpoint.weight();
        if let Some(locality) = endpoint.locality() {
            status.region = locality.region.clone();
            status.zone = locality.zone.clone();
            status.sub_zone = locality.sub_zone.clone();
        }
        status.priority = endpoint.priority();
        status.health = endpoint.health();
        (status.success_rate, status.local_origin_success_rate) = endpoint.success_rates();
        let stats = endpoint.stats();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        status.stats = HostStats {
            cx_active: read(&stats.cx_active),
            cx_connect_fail: read(&stats.cx_connect_fail),
            cx_total: read(&stats.cx_total),
            rq_active: read(&stats.rq_active),
            rq_error: read(&stats.rq_error),
            rq_pending_active: 0,
            rq_success: read(&stats.rq_success),
            rq_timeout: read(&stats.rq_timeout),
            rq_total: read(&stats.rq_total),
        };
        status
    }
}
