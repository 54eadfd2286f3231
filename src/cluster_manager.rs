//! The clusters of a configuration: built, and kept up to date by discovery.

mod build;
mod resolver;

use std::collections::HashMap;
use std::sync::Arc;

use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::discover::dns::FirstResolution;
use front_proxy_layers::stats::Scope;
use tokio::task::JoinHandle;

use crate::config::model;

pub use build::BuildError;

/// All clusters, by name.
#[derive(Debug)]
pub struct ClusterManager {
    clusters: Vec<(Arc<model::Cluster>, Cluster)>,
    by_name: HashMap<String, usize>,
    discoveries: Vec<JoinHandle<()>>,
}

impl ClusterManager {
    /// Builds the clusters and starts their discovery on the current runtime. Returns when each
    /// has been resolved once, and what is to be checked has been, as listeners must not open before.
    pub async fn start(
        configs: &[model::Cluster],
        scope: &Scope,
        workers: usize,
    ) -> Result<Self, BuildError> {
        let stats = scope.child("cluster_manager");
        let mut clusters = Vec::with_capacity(configs.len());
        let mut by_name = HashMap::with_capacity(configs.len());
        let mut discoveries = Vec::new();
        let mut first = Vec::new();
        for config in configs {
            let cluster = build::cluster(config, scope, workers)?;
            let (task, resolved) = build::discover(config, &cluster, scope);
            discoveries.extend(task);
            first.extend(resolved);
            stats.counter("cluster_added").increment(1);
            by_name.insert(config.name.clone(), clusters.len());
            clusters.push((Arc::new(config.clone()), cluster));
        }
        stats.gauge("active_clusters").set(clusters.len() as f64);
        stats.gauge("warming_clusters").set(0.0);
        // Envoy makes a thread's part of a cluster when it is first used, if asked to; else at once.
        let threads = scope.child("thread_local_cluster_manager");
        let owners = (0..workers).map(|index| threads.worker(index));
        for thread in owners.chain([threads.child("main_thread")]) {
            thread.gauge("clusters_inflated").set(clusters.len() as f64);
        }
        for name in ["cluster_modified", "cluster_removed", "cluster_updated"] {
            drop(stats.counter(name));
        }
        let manager = Self { clusters, by_name, discoveries };
        for resolved in first {
            FirstResolution::wait(resolved).await;
        }
        for (_, cluster) in &manager.clusters {
            cluster.initialized().await;
        }
        Ok(manager)
    }

    /// The cluster of this name.
    pub fn get(&self, name: &str) -> Option<&Cluster> {
        self.by_name.get(name).and_then(|index| self.clusters.get(*index)).map(|(_, c)| c)
    }

    /// The same with its configuration.
    pub(crate) fn with_config(&self, name: &str) -> Option<(&Arc<model::Cluster>, &Cluster)> {
        let (config, cluster) = self.clusters.get(*self.by_name.get(name)?)?;
        Some((config, cluster))
    }

    /// All clusters with their configuration, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<model::Cluster>, &Cluster)> {
        self.clusters.iter().map(|(config, cluster)| (config, cluster))
    }
}

impl Drop for ClusterManager {
    fn drop(&mut self) {
        for discovery in &self.discoveries {
            discovery.abort();
        }
    }
}
