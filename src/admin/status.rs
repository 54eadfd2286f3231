//! What the admin pages show, as plain values.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

pub use front_proxy_layers::health::{HealthFlag, HealthFlags};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::stats::server::ServerState;

/// `/server_info`.
#[derive(Clone, Debug, Default)]
pub struct ServerInfo {
    /// See [`version::string`](super::version::string).
    pub version: String,
    /// What the server is doing.
    pub state: ServerState,
    /// Since this process started.
    pub uptime: Duration,
    /// Downstream connections on all listeners.
    pub connections: u64,
    /// The command line's options, under Envoy's names: [`cli::Options`](crate::cli::Options) as
    /// JSON, or any others.
    pub command_line_options: Map<String, Value>,
    /// `node` of the bootstrap; what it does not say has defaults.
    pub node: Map<String, Value>,
}

/// A cluster in `/clusters`.
#[derive(Clone, Debug, Default)]
pub struct ClusterStatus {
    /// Name.
    pub name: String,
    /// `alt_stat_name`, or the name where there is none.
    pub observability_name: String,
    /// Limits of the default priority.
    pub default_priority: PriorityLimits,
    /// Limits of the high priority.
    pub high_priority: PriorityLimits,
    /// Whether it came from an API instead of the bootstrap.
    pub added_via_api: bool,
    /// Outlier detection's view on all hosts; nothing where it is not on.
    pub outlier: Option<OutlierStatus>,
    /// Its endpoints.
    pub hosts: Vec<HostStatus>,
}

/// Circuit breaker thresholds of one priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriorityLimits {
    /// `max_connections`.
    pub max_connections: u64,
    /// `max_pending_requests`.
    pub max_pending_requests: u64,
    /// `max_requests`.
    pub max_requests: u64,
    /// `max_retries`.
    pub max_retries: u64,
}

impl Default for PriorityLimits {
    /// Envoy's.
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 1024,
            max_retries: 3,
        }
    }
}

/// Success rates over all hosts of a cluster, in percent; `None` before there are enough requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OutlierStatus {
    /// The mean of the hosts' rates.
    pub success_rate_average: Option<f64>,
    /// Below this rate a host is ejected.
    pub success_rate_ejection_threshold: Option<f64>,
    /// The mean, as to errors that arose on this side.
    pub local_origin_success_rate_average: Option<f64>,
    /// The threshold, as to errors that arose on this side.
    pub local_origin_success_rate_ejection_threshold: Option<f64>,
}

/// An endpoint in `/clusters`.
#[derive(Clone, Debug)]
pub struct HostStatus {
    /// Where it is.
    pub address: SocketAddr,
    /// The name it was resolved from, or its address as the configuration has it.
    pub hostname: String,
    /// Its counts.
    pub stats: HostStats,
    /// What is known of its health; empty for a healthy host.
    pub health: HealthFlags,
    /// `load_balancing_weight`.
    pub weight: u32,
    /// `locality.region`.
    pub region: String,
    /// `locality.zone`.
    pub zone: String,
    /// `locality.sub_zone`.
    pub sub_zone: String,
    /// Whether it is a canary.
    pub canary: bool,
    /// Priority of its locality.
    pub priority: u32,
    /// Success rate in percent that outlier detection sees, where it sees enough.
    pub success_rate: Option<f64>,
    /// The same for errors that arose on this side.
    pub local_origin_success_rate: Option<f64>,
}

impl HostStatus {
    /// A healthy host of weight one that has done nothing yet.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            hostname: String::new(),
            stats: HostStats::default(),
            health: HealthFlags::default(),
            weight: 1,
            region: String::new(),
            zone: String::new(),
            sub_zone: String::new(),
            canary: false,
            priority: 0,
            success_rate: None,
            local_origin_success_rate: None,
        }
    }
}

/// Counts of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostStats {
    /// Open connections.
    pub cx_active: u64,
    /// Connections that could not be made.
    pub cx_connect_fail: u64,
    /// Connections made or tried.
    pub cx_total: u64,
    /// Requests in flight.
    pub rq_active: u64,
    /// Requests that ended in a 5xx or without an answer.
    pub rq_error: u64,
    /// Requests that wait for a connection.
    pub rq_pending_active: u64,
    /// Requests that were answered with anything else.
    pub rq_success: u64,
    /// Requests that ran into a timeout.
    pub rq_timeout: u64,
    /// Requests sent.
    pub rq_total: u64,
}

/// A listener in `/listeners`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerStatus {
    /// Its name; one was made up where the configuration gives none.
    pub name: String,
    /// Where it listens, with the port the system chose if the configuration says 0.
    pub address: SocketAddr,
}

/// A certificate with its chain in `/certs`.
#[derive(Clone, Debug, Default)]
pub struct CertificateStatus {
    /// Trusted certificates.
    pub ca_cert: Vec<CertificateDetails>,
    /// The certificates shown to the other side, without those that vouch for them.
    pub cert_chain: Vec<CertificateDetails>,
}

/// One certificate. Made by [`CertificateDetails::from_der`].
#[derive(Clone, Debug)]
pub struct CertificateDetails {
    /// Its file, or `<inline>`.
    pub path: String,
    /// Hexadecimal.
    pub serial_number: String,
    /// Names and addresses it is good for.
    pub subject_alt_names: Vec<SubjectAltName>,
    /// From when it is good.
    pub valid_from: SystemTime,
    /// Until when it is good.
    pub expiration_time: SystemTime,
}

/// What a certificate is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectAltName {
    /// A host name.
    Dns(String),
    /// A URI.
    Uri(String),
    /// An address.
    IpAddress(String),
}

/// `/runtime`.
#[derive(Clone, Debug, Default)]
pub struct RuntimeStatus {
    /// Names of the layers, lowest first.
    pub layers: Vec<String>,
    /// Keys with the value that each layer gives them; empty where it gives none.
    pub entries: BTreeMap<String, Vec<String>>,
}

/// How listeners are drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainOptions {
    /// Close only after the drain time, asking clients to go meanwhile.
    pub graceful: bool,
    /// Only listeners for inbound traffic.
    pub inbound_only: bool,
    /// Ask clients to go, but never close.
    pub skip_exit: bool,
}

/// Levels under Envoy's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// `trace`.
    Trace,
    /// `debug`.
    Debug,
    /// `info`.
    Info,
    /// `warning`.
    Warning,
    /// `error`.
    Error,
    /// `critical`.
    Critical,
    /// `off`.
    Off,
}

impl LogLevel {
    /// All of them, most talkative first.
    pub const ALL: [Self; 7] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Off,
    ];

    /// Envoy's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Off => "off",
        }
    }

    /// The level of a name; `warn` is `warning`.
    pub fn parse(name: &str) -> Option<Self> {
        let name = if name == "warn" { "warning" } else { name };
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

impl Serialize for LogLevel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
