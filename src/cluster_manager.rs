//! The clusters of a configuration: built, and kept up to date by discovery.
//!
//! ```
//! use front_proxy::cluster_manager::ClusterManager;
//! use front_proxy::config::load_str;
//! use front_proxy_layers::stats::Scope;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = "static_resources: { clusters: [{ name: service1 }] }";
//! let bootstrap = load_str("bootstrap.yaml", text)?;
//! let (clusters, runtime) = (&bootstrap.clusters, &bootstrap.runtime);
//! let manager = ClusterManager::start(clusters, runtime, &Scope::from_metrics(), 1).await?;
//! assert!(manager.get("service1").is_some());
//! # Ok(()) }
//! ```

mod build;
mod counted_lookups;

use std::collections::HashMap;
use std::sync::Arc;

use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::discover::dns::FirstResolution;
use front_proxy_layers::runtime::Runtime;
use front_proxy_layers::stats::Scope;
use tokio::task::JoinHandle;

use crate::config::model;
use crate::tls::{Upstream, Watched};

pub use build::BuildError;

/// All clusters, by name.
#[derive(Debug)]
pub struct ClusterManager {
    clusters: Vec<Entry>,
    by_name: HashMap<String, usize>,
    discoveries: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Entry {
    config: Arc<model::Cluster>,
    cluster: Cluster,
    tls: Option<Arc<Upstream>>,
}

impl ClusterManager {
    /// Builds the clusters, which follow `runtime`, and starts their discovery on the current tokio
    /// runtime. Returns when each
    /// has been resolved once, and what is to be checked has been: listeners must not open before.
    ///
    /// # Errors
    ///
    /// A certificate or a key can't be used, in words.
    pub async fn start(
        configs: &[model::Cluster],
        runtime: &Runtime,
        scope: &Scope,
        workers: usize,
    ) -> Result<Self, BuildError> {
        let mut manager = Self::build(configs, runtime, scope, workers)?;
        let mut first = Vec::new();
        for Entry { config, cluster, .. } in &manager.clusters {
            let (task, resolved) = build::discover(config, cluster, scope);
            manager.discoveries.extend(task);
            first.extend(resolved);
        }
        for resolved in first {
            FirstResolution::wait(resolved).await;
        }
        for Entry { cluster, .. } in &manager.clusters {
            cluster.initialized().await;
        }
        Ok(manager)
    }

    /// Builds the clusters, without any members yet.
    pub(crate) fn build(
        configs: &[model::Cluster],
        runtime: &Runtime,
        scope: &Scope,
        workers: usize,
    ) -> Result<Self, BuildError> {
        let stats = scope.child("cluster_manager");
        let mut clusters = Vec::with_capacity(configs.len());
        let mut by_name = HashMap::with_capacity(configs.len());
        for config in configs {
            let (cluster, tls) = build::cluster(config, runtime, scope, workers)?;
            stats.counter("cluster_added").increment(1);
            by_name.insert(config.name.clone(), clusters.len());
            clusters.push(Entry { config: Arc::new(config.clone()), cluster, tls });
        }
        stats.gauge("active_clusters").set(clusters.len() as f64);
        stats.gauge("warming_clusters").set(0.0);
        // Envoy makes a thread's part of a cluster when it is first used, if asked to; else at once.
        let threads = scope.child("thread_local_cluster_manager");
        let owners = (0..workers).map(|index| threads.worker(index));
        for thread in owners.chain([threads.child("main_thread")]) {
            thread.gauge("clusters_inflated").set(clusters.len() as f64);
        }
        for name in ["cluster_modified", "cluster_removed"] {
            drop(stats.counter(name));
        }
        Ok(Self { clusters, by_name, discoveries: Vec::new() })
    }

    /// The cluster of this name.
    pub fn get(&self, name: &str) -> Option<&Cluster> {
        self.with_config(name).map(|(_, cluster)| cluster)
    }

    /// The same with its configuration.
    pub(crate) fn with_config(&self, name: &str) -> Option<(&Arc<model::Cluster>, &Cluster)> {
        let Entry { config, cluster, .. } = self.clusters.get(*self.by_name.get(name)?)?;
        Some((config, cluster))
    }

    /// All clusters with their configuration, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<model::Cluster>, &Cluster)> {
        self.clusters.iter().map(|entry| (&entry.config, &entry.cluster))
    }

    /// The TLS contexts in the order of the file, with the scopes of their clusters' stats below
    /// `root`.
    pub(crate) fn tls(&self, root: &Scope) -> impl Iterator<Item = (&Arc<Upstream>, Scope)> {
        self.clusters.iter().filter_map(|entry| {
            Some((entry.tls.as_ref()?, build::stats_scope(&entry.config, root)))
        })
    }

    /// What looks after the files of the TLS contexts. `scope` is the root of all stats.
    pub(crate) fn watched(&self, scope: &Scope) -> Vec<Watched> {
        let watched = |entry: &Entry| build::watched(&entry.config, entry.tls.as_ref()?, scope);
        self.clusters.iter().filter_map(watched).collect()
    }
}

impl Drop for ClusterManager {
    fn drop(&mut self) {
        for discovery in &self.discoveries {
            discovery.abort();
        }
    }
}
