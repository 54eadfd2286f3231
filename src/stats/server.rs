//! The `server.*` stats, which are worked out when somebody looks.

use std::time::Duration;

use front_proxy_layers::stats::{Gauge, Histogram, Scope};

use super::process::Memory;

/// What a server is doing, as `/server_info` and `server.state` tell it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerState {
    /// It serves.
    #[default]
    Live,
    /// It was told to fail health checks.
    Draining,
    /// It waits for what it needs before listeners and clusters can be set up.
    PreInitializing,
    /// Listeners and clusters are being set up.
    Initializing,
}

impl ServerState {
    /// Envoy's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Draining => "DRAINING",
            Self::PreInitializing => "PRE_INITIALIZING",
            Self::Initializing => "INITIALIZING",
        }
    }

    /// Envoy's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Live => 0,
            Self::Draining => 1,
            Self::PreInitializing => 2,
            Self::Initializing => 3,
        }
    }
}

/// What `server.*` is made from.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerReading {
    /// What the server is doing.
    pub state: ServerState,
    /// How long it has been running.
    pub uptime: Duration,
    /// Downstream connections on all listeners.
    pub connections: u64,
    /// Lookups of stats by name.
    pub stats_lookups: u64,
    /// Until the first certificate expires; zero when one has, nothing without certificates.
    pub days_until_first_cert_expiring: Option<u32>,
}

/// The `server.*` stats.
#[derive(Debug)]
pub struct ServerStats {
    live: Gauge,
    state: Gauge,
    uptime: Gauge,
    total_connections: Gauge,
    days_until_first_cert_expiring: Gauge,
    memory_allocated: Gauge,
    memory_heap_size: Gauge,
    memory_physical_size: Gauge,
    stats_recent_lookups: Gauge,
    initialization_time_ms: Histogram,
}

impl ServerStats {
    /// Registers the stats below `root`. `version` is the first 24 bits of the commit built from.
    pub fn new(root: &Scope, concurrency: u32, version: u32) -> Self {
        let scope = root.child("server");
        let fixed = [
            ("concurrency", concurrency),
            ("version", version),
            // There is no hot restart: each process is the first of its line.
            ("hot_restart_epoch", 0),
            ("hot_restart_generation", 1),
            ("parent_connections", 0),
            ("compilation_settings.fips_mode", 0),
        ];
        for (leaf, value) in fixed {
            scope.gauge(leaf).set(f64::from(value));
        }
        Self {
            live: scope.gauge("live"),
            state: scope.gauge("state"),
            uptime: scope.gauge("uptime"),
            total_connections: scope.gauge("total_connections"),
            days_until_first_cert_expiring: scope.gauge("days_until_first_cert_expiring"),
            memory_allocated: scope.gauge("memory_allocated"),
            memory_heap_size: scope.gauge("memory_heap_size"),
            memory_physical_size: scope.gauge("memory_physical_size"),
            stats_recent_lookups: scope.gauge("stats_recent_lookups"),
            initialization_time_ms: scope.histogram_ms("initialization_time_ms"),
        }
    }

    /// Notes how long it took from the start of the process until all listeners listened.
    pub fn initialized(&self, took: Duration) {
        self.initialization_time_ms.record((took.as_secs_f64() * 1000.0).floor());
    }

    /// Brings the gauges up to date.
    #[expect(clippy::cast_precision_loss, reason = "none of these comes near 2^53")]
    pub fn refresh(&self, reading: &ServerReading) {
        self.live.set(f64::from(u8::from(reading.state == ServerState::Live)));
        self.state.set(f64::from(reading.state.number()));
        self.uptime.set(reading.uptime.as_secs() as f64);
        self.total_connections.set(reading.connections as f64);
        // Envoy shows the largest 32-bit number where there is no certificate.
        let days = reading.days_until_first_cert_expiring.unwrap_or(u32::MAX);
        self.days_until_first_cert_expiring.set(f64::from(days));
        let memory = Memory::now();
        self.memory_allocated.set(memory.allocated as f64);
        self.memory_heap_size.set(memory.heap_size as f64);
        self.memory_physical_size.set(memory.physical as f64);
        self.stats_recent_lookups.set(reading.stats_lookups as f64);
    }
}
