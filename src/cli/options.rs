//! What the command line says, with every default filled in.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::arguments::ServeArgs;
use super::log::{self, Level};

pub use super::arguments::version;

/// Envoy's log format.
pub const DEFAULT_LOG_FORMAT: &str = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v";

/// What `--mode` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Mode {
    /// Serve the configuration.
    #[default]
    Serve,
    /// Check it and exit.
    Validate,
}

/// What `--drain-strategy` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum DrainStrategy {
    /// Connections are closed over the whole drain time.
    #[default]
    Gradual,
    /// Connections are closed as soon as they can be.
    Immediate,
}

/// The options of a proxy.
///
/// As JSON, they are the `command_line_options` of the admin server's `/server_info`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
#[allow(missing_docs)] // each is Envoy's flag of its name
pub struct Options {
    #[serde(serialize_with = "as_text")]
    pub base_id: u32,
    pub concurrency: u32,
    pub config_path: String,
    pub config_yaml: String,
    pub allow_unknown_static_fields: bool,
    pub admin_address_path: String,
    pub local_address_ip_version: String,
    pub log_level: Level,
    pub component_log_level: String,
    pub log_format: String,
    pub log_path: String,
    pub service_cluster: String,
    pub service_node: String,
    pub service_zone: String,
    #[serde(serialize_with = "as_seconds")]
    pub file_flush_interval: Duration,
    #[serde(serialize_with = "as_seconds")]
    pub drain_time: Duration,
    #[serde(serialize_with = "as_seconds")]
    pub parent_shutdown_time: Duration,
    pub mode: Mode,
    pub disable_hot_restart: bool,
    pub enable_mutex_tracing: bool,
    pub restart_epoch: u32,
    pub cpuset_threads: bool,
    pub reject_unknown_dynamic_fields: bool,
    pub log_format_escaped: bool,
    pub disabled_extensions: Vec<String>,
    pub ignore_unknown_dynamic_fields: bool,
    pub use_dynamic_base_id: bool,
    pub base_id_path: String,
    pub drain_strategy: DrainStrategy,
    pub enable_fine_grain_logging: bool,
    pub socket_path: String,
    pub socket_mode: u32,
    pub enable_core_dump: bool,
    pub stats_tag: Vec<String>,
    pub skip_hot_restart_on_no_parent: bool,
    pub skip_hot_restart_parent_stats: bool,
    pub skip_deprecated_logs: bool,
    /// In KiB.
    pub file_flush_min_size: u32,
    pub log_stacktrace_single_entry: bool,
    /// Flags that were given and mean nothing here.
    #[serde(skip)]
    pub without_effect: Vec<&'static str>,
}

impl Options {
    /// The line to log at start about flags that mean nothing here, if any were given.
    pub fn without_effect_note(&self) -> Option<String> {
        if self.without_effect.is_empty() {
            return None;
        }
        Some(format!(
            "accepted without effect: {}",
            self.without_effect.join(", ")
        ))
    }
}

impl TryFrom<ServeArgs> for Options {
    type Error = String;

    fn try_from(args: ServeArgs) -> Result<Self, String> {
        let unused = &args.without_effect;
        let component_log_level = args.component_log_level.unwrap_or_default();
        log::parse_components(&component_log_level)?;
        if args.config_path.is_none() && args.config_yaml.is_none() {
            return Err("give a configuration with --config-path or --config-yaml".to_owned());
        }
        let epoch = unused.restart_epoch.unwrap_or(0);
        if unused.use_dynamic_base_id && epoch > 0 {
            return Err(format!(
                "cannot use --restart-epoch={epoch} with --use-dynamic-base-id"
            ));
        }
        if unused.enable_fine_grain_logging && !component_log_level.is_empty() {
            return Err(
                "--component-log-level will not work with --enable-fine-grain-logging".to_owned(),
            );
        }
        let without_effect = without_effect(&args.without_effect);
        let unused = args.without_effect;
        Ok(Self {
            base_id: unused.base_id.unwrap_or(0),
            concurrency: concurrency(args.concurrency),
            config_path: args.config_path.unwrap_or_default(),
            config_yaml: args.config_yaml.unwrap_or_default(),
            allow_unknown_static_fields: args.allow_unknown_static_fields
                || args.allow_unknown_fields,
            admin_address_path: args.admin_address_path.unwrap_or_default(),
            local_address_ip_version: ip_version(unused.local_address_ip_version)?,
            log_level: Level::parse(&args.log_level)?,
            component_log_level,
            log_format: args.log_format,
            log_path: args.log_path.unwrap_or_default(),
            service_cluster: args.service_cluster.unwrap_or_default(),
            service_node: args.service_node.unwrap_or_default(),
            service_zone: args.service_zone.unwrap_or_default(),
            file_flush_interval: Duration::from_millis(args.file_flush_interval_msec.into()),
            drain_time: Duration::from_secs(args.drain_time_s.into()),
            parent_shutdown_time: Duration::from_secs(
                unused.parent_shutdown_time_s.unwrap_or(900).into(),
            ),
            mode: mode(&args.mode)?,
            disable_hot_restart: args.disable_hot_restart,
            enable_mutex_tracing: unused.enable_mutex_tracing,
            restart_epoch: epoch,
            cpuset_threads: unused.cpuset_threads,
            reject_unknown_dynamic_fields: unused.reject_unknown_dynamic_fields,
            log_format_escaped: args.log_format_escaped,
            disabled_extensions: unused
                .disable_extensions
                .iter()
                .flat_map(|l| l.split(','))
                .filter(|e| !e.is_empty())
                .map(str::to_owned)
                .collect(),
            ignore_unknown_dynamic_fields: unused.ignore_unknown_dynamic_fields,
            use_dynamic_base_id: unused.use_dynamic_base_id,
            base_id_path: unused.base_id_path.unwrap_or_default(),
            drain_strategy: drain_strategy(&args.drain_strategy)?,
            enable_fine_grain_logging: unused.enable_fine_grain_logging,
            socket_path: unused
                .socket_path
                .unwrap_or_else(|| "@envoy_domain_socket".to_owned()),
            socket_mode: socket_mode(unused.socket_mode.as_deref())?,
            enable_core_dump: unused.enable_core_dump,
            stats_tag: stats_tags(args.stats_tag)?,
            skip_hot_restart_on_no_parent: unused.skip_hot_restart_on_no_parent,
            skip_hot_restart_parent_stats: unused.skip_hot_restart_parent_stats,
            skip_deprecated_logs: unused.skip_deprecated_logs,
            file_flush_min_size: args.file_flush_min_size_kb,
            log_stacktrace_single_entry: unused.log_stacktrace_single_entry,
            without_effect,
        })
    }
}

fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "serve" => Ok(Mode::Serve),
        "validate" => Ok(Mode::Validate),
        other => Err(format!(
            "unknown mode '{other}': it is 'serve' or 'validate'"
        )),
    }
}

fn drain_strategy(text: &str) -> Result<DrainStrategy, String> {
    match text {
        "gradual" => Ok(DrainStrategy::Gradual),
        "immediate" => Ok(DrainStrategy::Immediate),
        other => Err(format!(
            "unknown drain-strategy '{other}': it is 'gradual' or 'immediate'"
        )),
    }
}

fn ip_version(text: Option<String>) -> Result<String, String> {
    match text {
        None => Ok("v4".to_owned()),
        Some(text) if matches!(text.as_str(), "v4" | "v6") => Ok(text),
        Some(other) => Err(format!("unknown IP address version '{other}'")),
    }
}

/// Permissions are octal.
fn socket_mode(text: Option<&str>) -> Result<u32, String> {
    let text = text.unwrap_or("0");
    u32::from_str_radix(text, 8).map_err(|_| format!("invalid socket-mode '{text}'"))
}

fn stats_tags(tags: Vec<String>) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for tag in &tags {
        let Some((name, value)) = tag.split_once(':') else {
            return Err(format!("misformatted stats-tag '{tag}': it is tag:value"));
        };
        let alphanumeric = |c: char| c.is_ascii_alphanumeric();
        if name.is_empty() || !name.chars().all(alphanumeric) {
            return Err(format!(
                "misformatted stats-tag '{tag}': a tag name is alphanumeric"
            ));
        }
        if value.is_empty() || value.contains('.') {
            return Err(format!(
                "misformatted stats-tag '{tag}': a value holds no '.'"
            ));
        }
        if names.contains(&name) {
            return Err(format!("stats-tag '{name}' is given twice"));
        }
        names.push(name);
    }
    Ok(tags)
}

/// The number of workers; without one, as many as there are hardware threads to use.
fn concurrency(given: Option<u32>) -> u32 {
    match given {
        // As in Envoy, none is one.
        Some(n) => n.max(1),
        None => std::thread::available_parallelism()
            .map_or(1, NonZeroUsize::get)
            .try_into()
            .unwrap_or(1),
    }
}

fn without_effect(args: &super::arguments::WithoutEffect) -> Vec<&'static str> {
    let given = [
        ("--base-id", args.base_id.is_some()),
        ("--use-dynamic-base-id", args.use_dynamic_base_id),
        ("--base-id-path", args.base_id_path.is_some()),
        ("--restart-epoch", args.restart_epoch.is_some()),
        (
            "--parent-shutdown-time-s",
            args.parent_shutdown_time_s.is_some(),
        ),
        ("--socket-path", args.socket_path.is_some()),
        ("--socket-mode", args.socket_mode.is_some()),
        (
            "--skip-hot-restart-on-no-parent",
            args.skip_hot_restart_on_no_parent,
        ),
        (
            "--skip-hot-restart-parent-stats",
            args.skip_hot_restart_parent_stats,
        ),
        (
            "--local-address-ip-version",
            args.local_address_ip_version.is_some(),
        ),
        ("--cpuset-threads", args.cpuset_threads),
        ("--enable-mutex-tracing", args.enable_mutex_tracing),
        ("--enable-core-dump", args.enable_core_dump),
        (
            "--enable-fine-grain-logging",
            args.enable_fine_grain_logging,
        ),
        (
            "--reject-unknown-dynamic-fields",
            args.reject_unknown_dynamic_fields,
        ),
        (
            "--ignore-unknown-dynamic-fields",
            args.ignore_unknown_dynamic_fields,
        ),
        ("--disable-extensions", args.disable_extensions.is_some()),
        ("--skip-deprecated-logs", args.skip_deprecated_logs),
        (
            "--log-stacktrace-single-entry",
            args.log_stacktrace_single_entry,
        ),
    ];
    given
        .into_iter()
        .filter(|(_, given)| *given)
        .map(|(name, _)| name)
        .collect()
}

fn as_text<S: Serializer>(number: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

/// A duration as proto3 JSON writes it.
fn as_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let millis = duration.subsec_millis();
    if millis == 0 {
        serializer.collect_str(&format_args!("{}s", duration.as_secs()))
    } else {
        serializer.collect_str(&format_args!("{}.{millis:03}s", duration.as_secs()))
    }
}
