//! The arguments as they stand on the command line.

use clap::{Args, Parser, Subcommand};

use crate::{sandbox, service};

/// A front proxy that reads Envoy's configuration.
#[derive(Debug, Parser)]
#[command(
    name = "front-proxy",
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true,
    after_help = "Flags are Envoy's. Those that mean nothing here are accepted and reported at start."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) subcommand: Option<Subcommands>,
    #[command(flatten)]
    pub(super) serve: ServeArgs,
    /// Print the version and exit
    #[arg(long)]
    pub(super) version: bool,
}

/// What Envoy has not.
#[derive(Debug, Subcommand)]
pub(super) enum Subcommands {
    /// Run the front proxy sandbox: proxies, sidecars and demo services in one process
    Sandbox(SandboxArgs),
    /// Run the sandbox's demo service alone
    Service(service::Options),
}

/// Envoy's flags.
#[derive(Args, Debug)]
pub(super) struct ServeArgs {
    /// Path to the configuration file
    #[arg(short, long, value_name = "FILE")]
    pub(super) config_path: Option<String>,
    /// Configuration as YAML text; merged over that of --config-path
    #[arg(long, value_name = "YAML")]
    pub(super) config_yaml: Option<String>,
    /// "serve", or "validate": check the configuration and exit
    #[arg(long, default_value = "serve", value_name = "MODE")]
    pub(super) mode: String,
    /// Number of worker threads [default: as many as the machine has hardware threads]
    #[arg(long, value_name = "N")]
    pub(super) concurrency: Option<u32>,
    /// Log level: trace, debug, info, warning, error, critical or off
    #[arg(short, long, default_value = "info", value_name = "LEVEL")]
    pub(super) log_level: String,
    /// Log levels of components, as in "upstream:debug,config:trace"
    #[arg(long, value_name = "LIST")]
    pub(super) component_log_level: Option<String>,
    /// Path of the log file [default: standard error]
    #[arg(long, value_name = "FILE")]
    pub(super) log_path: Option<String>,
    /// Format of log lines, in the syntax of spdlog
    #[arg(long, default_value = super::options::DEFAULT_LOG_FORMAT, value_name = "FORMAT")]
    pub(super) log_format: String,
    /// Escape C-style escape sequences in log lines
    #[arg(long)]
    pub(super) log_format_escaped: bool,
    /// Name of the cluster that this proxy belongs to (over `node.cluster`)
    #[arg(long, value_name = "NAME")]
    pub(super) service_cluster: Option<String>,
    /// Name of this proxy (over `node.id`)
    #[arg(long, value_name = "NAME")]
    pub(super) service_node: Option<String>,
    /// Zone of this proxy (over `node.locality.zone`)
    #[arg(long, value_name = "NAME")]
    pub(super) service_zone: Option<String>,
    /// Write the address of the admin server to this file
    #[arg(long, value_name = "FILE")]
    pub(super) admin_address_path: Option<String>,
    /// How long requests under way may take when the process ends, in seconds [default: 20]; and
    /// how long listeners are drained that are asked to [default: 600]
    #[arg(long, value_name = "SECONDS")]
    pub(super) drain_time_s: Option<u32>,
    /// Interval in which access logs are flushed, in milliseconds
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    pub(super) file_flush_interval_msec: u32,
    /// Size from which access logs are flushed, in KiB
    #[arg(long, default_value_t = 64, value_name = "KIB")]
    pub(super) file_flush_min_size_kb: u32,
    /// A tag for all stats, as in "tag:value"; may be repeated
    #[arg(long, value_name = "TAG:VALUE")]
    pub(super) stats_tag: Vec<String>,
    /// Leave out fields of the configuration that Envoy doesn't know
    #[arg(long)]
    pub(super) allow_unknown_static_fields: bool,
    /// The old name of --allow-unknown-static-fields
    #[arg(long, hide = true)]
    pub(super) allow_unknown_fields: bool,
    /// Print the hot restart version and exit
    #[arg(long)]
    pub(super) hot_restart_version: bool,
    /// Without effect: there is no hot restart
    #[arg(long)]
    pub(super) disable_hot_restart: bool,
    /// No warnings of deprecated fields
    #[arg(long)]
    pub(super) skip_deprecated_logs: bool,
    #[command(flatten)]
    pub(super) without_effect: WithoutEffect,
}

/// Flags of Envoy that mean nothing here.
#[derive(Args, Debug)]
#[command(next_help_heading = "Accepted, without effect")]
pub(super) struct WithoutEffect {
    /// Hot restart: base ID
    #[arg(long, value_name = "N")]
    pub(super) base_id: Option<u32>,
    /// Hot restart: choose a base ID
    #[arg(long)]
    pub(super) use_dynamic_base_id: bool,
    /// Hot restart: where to write the base ID
    #[arg(long, value_name = "FILE")]
    pub(super) base_id_path: Option<String>,
    /// Hot restart: epoch
    #[arg(long, value_name = "N")]
    pub(super) restart_epoch: Option<u32>,
    /// Hot restart: when the parent ends, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub(super) parent_shutdown_time_s: Option<u32>,
    /// Hot restart: path of the socket
    #[arg(long, value_name = "FILE")]
    pub(super) socket_path: Option<String>,
    /// Hot restart: permissions of the socket
    #[arg(long, value_name = "MODE")]
    pub(super) socket_mode: Option<String>,
    /// Hot restart: go on without a parent
    #[arg(long)]
    pub(super) skip_hot_restart_on_no_parent: bool,
    /// Hot restart: don't take over stats
    #[arg(long)]
    pub(super) skip_hot_restart_parent_stats: bool,
    /// Draining "gradual" or "immediate": here clients are asked to leave with their next answer
    #[arg(long, value_name = "STRATEGY")]
    pub(super) drain_strategy: Option<String>,
    /// IP version of the local address: v4 or v6
    #[arg(long, value_name = "VERSION")]
    pub(super) local_address_ip_version: Option<String>,
    /// Count worker threads by the cpuset, which is always done
    #[arg(long)]
    pub(super) cpuset_threads: bool,
    /// Mutex tracing
    #[arg(long)]
    pub(super) enable_mutex_tracing: bool,
    /// Core dumps
    #[arg(long)]
    pub(super) enable_core_dump: bool,
    /// Log levels by file
    #[arg(long)]
    pub(super) enable_fine_grain_logging: bool,
    /// Refuse unknown fields of dynamic configuration
    #[arg(long)]
    pub(super) reject_unknown_dynamic_fields: bool,
    /// Leave out unknown fields of dynamic configuration
    #[arg(long)]
    pub(super) ignore_unknown_dynamic_fields: bool,
    /// Extensions to disable
    #[arg(long, value_name = "LIST")]
    pub(super) disable_extensions: Option<String>,
    /// Stack traces in one log entry
    #[arg(long)]
    pub(super) log_stacktrace_single_entry: bool,
}

/// `sandbox`
#[derive(Args, Clone, Debug)]
pub struct SandboxArgs {
    /// What to do with a running sandbox.
    #[command(subcommand)]
    pub command: Option<SandboxCommand>,
    /// What to start it with.
    #[command(flatten)]
    pub options: sandbox::Options,
}

/// What can be asked of a running sandbox, from a second terminal.
#[derive(Clone, Debug, Subcommand)]
pub enum SandboxCommand {
    /// Start or stop instances of services, as in "service1=3"
    Scale {
        /// The services and how many instances each shall have.
        #[arg(required = true, value_name = "SERVICE=N")]
        scale: Vec<sandbox::Scale>,
        /// The control port of the running sandbox.
        #[arg(long, default_value_t = sandbox::Options::CONTROL_PORT, value_name = "PORT")]
        control_port: u16,
    },
}
