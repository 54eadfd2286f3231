//! What the admin app shows of a running proxy.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use front_proxy_layers::cluster::Cluster;
use front_proxy_layers::endpoint::Endpoint;
use serde_json::{Map, Value, json};

use super::ServerOptions;
use super::certificates::Certificates;
use crate::admin::{
    CertificateStatus, ClusterStatus, ClusterView, ConfigView, HostStatus, ListenerStatus,
    ListenerView, ServerInfo, ServerView,
};
use crate::cluster_manager::ClusterManager;
use crate::config::model::{self, Bootstrap};
use crate::listener::Listener;
use crate::stats::server::ServerState;

/// The state of the process.
#[derive(Debug)]
pub(super) struct ServerStatus {
    state: AtomicU8,
    /// The process was told to fail health checks.
    failing: Arc<AtomicBool>,
    began: Instant,
    command_line: Map<String, Value>,
    node: Map<String, Value>,
    listeners: OnceLock<Vec<Arc<Listener>>>,
}

const STATES: [ServerState; 4] = [
    ServerState::Live,
    ServerState::Draining,
    ServerState::PreInitializing,
    ServerState::Initializing,
];

impl ServerStatus {
    pub(super) fn new(node: &model::Node, options: &ServerOptions) -> Self {
        let mut shown = Map::new();
        let model::Node { id, cluster, region, zone, sub_zone, metadata } = node;
        shown.insert("id".to_owned(), json!(id));
        shown.insert("cluster".to_owned(), json!(cluster));
        if !metadata.is_empty() {
            shown.insert("metadata".to_owned(), Value::Object(metadata.clone()));
        }
        let locality = [("region", region), ("zone", zone), ("sub_zone", sub_zone)];
        if locality.iter().any(|(_, part)| !part.is_empty()) {
            let given = locality.map(|(name, part)| (name.to_owned(), json!(part)));
            shown.insert("locality".to_owned(), Value::Object(given.into_iter().collect()));
        }
        Self {
            state: AtomicU8::new(ServerState::Initializing.number()),
            failing: Arc::default(),
            began: Instant::now(),
            command_line: options.command_line.clone(),
            node: shown,
            listeners: OnceLock::new(),
        }
    }

    pub(super) fn set(&self, state: ServerState) {
        self.state.store(state.number(), Ordering::Relaxed);
    }

    /// The listeners whose connections are counted together.
    pub(super) fn listen(&self, listeners: &[Arc<Listener>]) {
        let _ = self.listeners.set(listeners.to_vec());
    }

    fn connections(&self) -> u64 {
        let listeners = self.listeners.get().map_or(&[][..], Vec::as_slice);
        listeners.iter().map(|listener| listener.connections.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn set_healthy(&self, healthy: bool) {
        self.failing.store(!healthy, Ordering::Relaxed);
    }

    pub(super) fn failing(&self) -> &Arc<AtomicBool> {
        &self.failing
    }

    fn state(&self) -> ServerState {
        let number = self.state.load(Ordering::Relaxed);
        let state = STATES.into_iter().find(|state| state.number() == number);
        match state.unwrap_or(ServerState::Live) {
            ServerState::Live if self.failing.load(Ordering::Relaxed) => ServerState::Draining,
            state => state,
        }
    }
}

impl ServerView for ServerStatus {
    fn server_info(&self) -> ServerInfo {
        ServerInfo {
            version: crate::admin::version::string(),
            state: self.state(),
            uptime: self.began.elapsed(),
            connections: self.connections(),
            command_line_options: self.command_line.clone(),
            node: self.node.clone(),
        }
    }
}

/// The clusters as `/clusters` shows them.
#[derive(Debug)]
pub(super) struct Clusters(pub(super) Arc<ClusterManager>);

impl ClusterView for Clusters {
    fn clusters(&self) -> Vec<ClusterStatus> {
        self.0.iter().map(|(config, cluster)| status(config, cluster)).collect()
    }
}

fn status(config: &model::Cluster, cluster: &Cluster) -> ClusterStatus {
    let looked_up = !matches!(config.discovery, model::Discovery::Static);
    let host = |endpoint: &Endpoint| {
        let mut host = HostStatus::from(endpoint);
        // An address that stands for a name to look up is shown as one.
        if looked_up {
            host.hostname = endpoint.hostname().to_owned();
        }
        host
    };
    let hosts = cluster.endpoints().iter().map(|endpoint| host(endpoint)).collect();
    ClusterStatus { hosts, ..ClusterStatus::from(cluster) }
}

/// The listeners as `/listeners` shows them.
#[derive(Debug)]
pub(super) struct Listeners(pub(super) Vec<Arc<Listener>>);

impl ListenerView for Listeners {
    fn listeners(&self) -> Vec<ListenerStatus> {
        self.0
            .iter()
            .map(|listener| ListenerStatus {
                name: listener.name.clone(),
                address: listener.address,
            })
            .collect()
    }
}

/// What was loaded.
#[derive(Debug)]
pub(crate) struct ConfigSource {
    loaded_at: SystemTime,
    bootstrap: Value,
    certificates: Arc<Certificates>,
}

impl ConfigSource {
    pub(crate) fn new(
        bootstrap: &Bootstrap,
        certificates: Arc<Certificates>,
        loaded_at: SystemTime,
    ) -> Self {
        Self { loaded_at, bootstrap: bootstrap.source.0.clone(), certificates }
    }
}

impl ConfigView for ConfigSource {
    fn bootstrap(&self) -> Value {
        self.bootstrap.clone()
    }

    fn certificates(&self) -> Vec<CertificateStatus> {
        self.certificates.all()
    }

    fn loaded_at(&self) -> SystemTime {
        self.loaded_at
    }
}
