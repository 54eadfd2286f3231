//! What the command line says, with every default filled in.

use std::time::Duration;

use clap::Parser as _;
use serde::{Serialize, Serializer};

use super::arguments::{Arguments, ServeArgs};
use super::log;
use crate::admin::LogLevel;
use crate::server::DEFAULT_DRAIN_TIME;

mod values;

pub use crate::admin::version::string as version;

use self::values::{
    concurrency, drain_strategy, ip_version, mode, socket_mode, stats_tags, without_effect,
};

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
    pub log_level: LogLevel,
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
    /// `--drain-time-s` where it was given: how long requests under way may take when the process
    /// ends.
    #[serde(skip)]
    pub shutdown_time: Option<Duration>,
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

/// The proxies of the sandbox have one worker each, and say only what goes wrong. Their bootstraps
/// come from nowhere that a flag could name.
const OF_SANDBOX: [&str; 7] =
    ["front-proxy", "--config-yaml", "", "--concurrency", "1", "--log-level", "warning"];

impl Options {
    /// Those of the sandbox's proxies.
    pub(super) fn of_sandbox() -> Result<Self, String> {
        let arguments = Arguments::try_parse_from(OF_SANDBOX).map_err(|error| error.to_string())?;
        Self::try_from(arguments.serve)
    }

    /// The line to log at start about flags that mean nothing here, if any were given.
    pub fn without_effect_note(&self) -> Option<String> {
        if self.without_effect.is_empty() {
            return None;
        }
        Some(format!("accepted without effect: {}", self.without_effect.join(", ")))
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
            return Err(format!("cannot use --restart-epoch={epoch} with --use-dynamic-base-id"));
        }
        if unused.enable_fine_grain_logging && !component_log_level.is_empty() {
            return Err(
                "--component-log-level will not work with --enable-fine-grain-logging".to_owned()
            );
        }
        let without_effect = without_effect(&args.without_effect);
        let drain_time = args.drain_time_s.map(|seconds| Duration::from_secs(seconds.into()));
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
            log_level: log::level(&args.log_level)?,
            component_log_level,
            log_format: args.log_format,
            log_path: args.log_path.unwrap_or_default(),
            service_cluster: args.service_cluster.unwrap_or_default(),
            service_node: args.service_node.unwrap_or_default(),
            service_zone: args.service_zone.unwrap_or_default(),
            file_flush_interval: Duration::from_millis(args.file_flush_interval_msec.into()),
            drain_time: drain_time.unwrap_or(DEFAULT_DRAIN_TIME),
            shutdown_time: drain_time,
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
            drain_strategy: drain_strategy(unused.drain_strategy.as_deref())?,
            enable_fine_grain_logging: unused.enable_fine_grain_logging,
            socket_path: unused.socket_path.unwrap_or_else(|| "@envoy_domain_socket".to_owned()),
            socket_mode: socket_mode(unused.socket_mode.as_deref())?,
            enable_core_dump: unused.enable_core_dump,
            stats_tag: stats_tags(args.stats_tag)?,
            skip_hot_restart_on_no_parent: unused.skip_hot_restart_on_no_parent,
            skip_hot_restart_parent_stats: unused.skip_hot_restart_parent_stats,
            skip_deprecated_logs: args.skip_deprecated_logs,
            file_flush_min_size: args.file_flush_min_size_kb,
            log_stacktrace_single_entry: unused.log_stacktrace_single_entry,
            without_effect,
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, parse};

    fn options(args: &[&str]) -> Options {
        let args = ["front-proxy", "-c", "f.yaml"].iter().chain(args);
        match parse(args) {
            Ok(Command::Serve(options) | Command::Validate(options)) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn as_json_they_are_envoys_command_line_options() {
        let json = serde_json::to_value(options(&["-l", "warn", "--drain-time-s", "3"])).unwrap();
        for (key, value) in [
            ("base_id", "0".into()),
            ("config_path", "f.yaml".into()),
            ("log_level", "warning".into()),
            ("log_format", DEFAULT_LOG_FORMAT.into()),
            ("drain_time", "3s".into()),
            ("parent_shutdown_time", "900s".into()),
            ("file_flush_interval", "10s".into()),
            ("mode", "Serve".into()),
            ("drain_strategy", "Gradual".into()),
            ("socket_mode", 0.into()),
            ("stats_tag", serde_json::json!([])),
        ] {
            assert_eq!(json[key], value, "{key}");
        }
        assert_eq!(json.as_object().unwrap().len(), 39);
        let options = options(&["--file-flush-interval-msec", "250"]);
        assert_eq!(serde_json::to_value(options).unwrap()["file_flush_interval"], "0.250s");
    }

    #[test]
    fn the_end_takes_as_long_as_is_said_and_draining_as_envoy_has_it() {
        let times = |args: &[&str]| {
            let options = options(args);
            (options.drain_time.as_secs(), options.shutdown_time.map(|time| time.as_secs()))
        };
        assert_eq!(times(&[]), (600, None));
        assert_eq!(times(&["--drain-time-s", "5"]), (5, Some(5)));
    }

    #[test]
    fn flags_without_effect_are_noted() {
        assert_eq!(options(&["--disable-hot-restart"]).without_effect_note(), None);
        let note = options(&["--base-id", "0", "--drain-strategy", "gradual"]);
        let note = note.without_effect_note();
        assert_eq!(note.as_deref(), Some("accepted without effect: --base-id, --drain-strategy"));
    }

    #[test]
    fn there_is_at_least_one_worker() {
        assert_eq!(options(&["--concurrency", "0"]).concurrency, 1);
        assert!(options(&[]).concurrency >= 1);
    }

    #[test]
    fn the_sandbox_has_commands_of_its_own() {
        let args = "front-proxy sandbox --scale service1=3 --scale service2=0 --http-port 80";
        let Ok(Command::Sandbox(sandbox)) = parse(args.split(' ')) else {
            panic!("not the sandbox");
        };
        assert!(sandbox.command.is_none());
        assert_eq!(
            (sandbox.options.http_port, sandbox.options.https_port, sandbox.options.admin_port),
            (80, 8443, 8001)
        );
        assert_eq!(
            (sandbox.options.scale[0].service.as_str(), sandbox.options.scale[0].instances),
            ("service1", 3)
        );
        let args = "front-proxy sandbox scale service1=3 --control-port 9001";
        let Ok(Command::Sandbox(sandbox)) = parse(args.split(' ')) else {
            panic!("not the sandbox");
        };
        let Some(crate::cli::SandboxCommand::Scale { scale, control_port }) = sandbox.command
        else {
            panic!("not scale");
        };
        assert_eq!((scale[0].instances, control_port), (3, 9001));
        for bad in ["service1", "=3", "service1=x", "service1=-1"] {
            assert!(parse(["front-proxy", "sandbox", "--scale", bad]).is_err(), "{bad}");
        }
        assert!(matches!(
            parse(["front-proxy", "service", "--service", "2"]),
            Ok(Command::Service(s)) if s.service.as_deref() == Some("2") && s.address.port() == 8080
        ));
    }
}
