//! The values of single flags.

use std::num::NonZeroUsize;

use crate::cli::arguments::WithoutEffect;
use crate::cli::options::{DrainStrategy, Mode};

pub(super) fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "serve" => Ok(Mode::Serve),
        "validate" => Ok(Mode::Validate),
        other => Err(format!("unknown mode '{other}': it is 'serve' or 'validate'")),
    }
}

pub(super) fn drain_strategy(text: Option<&str>) -> Result<DrainStrategy, String> {
    match text {
        None => Ok(DrainStrategy::default()),
        Some("gradual") => Ok(DrainStrategy::Gradual),
        Some("immediate") => Ok(DrainStrategy::Immediate),
        Some(other) => {
            Err(format!("unknown drain-strategy '{other}': it is 'gradual' or 'immediate'"))
        }
    }
}

pub(super) fn ip_version(text: Option<String>) -> Result<String, String> {
    match text {
        None => Ok("v4".to_owned()),
        Some(text) if matches!(text.as_str(), "v4" | "v6") => Ok(text),
        Some(other) => Err(format!("unknown IP address version '{other}'")),
    }
}

/// Permissions are octal.
pub(super) fn socket_mode(text: Option<&str>) -> Result<u32, String> {
    let text = text.unwrap_or("0");
    u32::from_str_radix(text, 8).map_err(|_| format!("invalid socket-mode '{text}'"))
}

pub(super) fn stats_tags(tags: Vec<String>) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for tag in &tags {
        let Some((name, value)) = tag.split_once(':') else {
            return Err(format!("misformatted stats-tag '{tag}': it is tag:value"));
        };
        let alphanumeric = |c: char| c.is_ascii_alphanumeric();
        if name.is_empty() || !name.chars().all(alphanumeric) {
            return Err(format!("misformatted stats-tag '{tag}': a tag name is alphanumeric"));
        }
        if value.is_empty() || value.contains('.') {
            return Err(format!("misformatted stats-tag '{tag}': a value holds no '.'"));
        }
        if names.contains(&name) {
            return Err(format!("stats-tag '{name}' is given twice"));
        }
        names.push(name);
    }
    Ok(tags)
}

/// The number of workers; without one, as many as there are hardware threads to use.
pub(super) fn concurrency(given: Option<u32>) -> u32 {
    match given {
        // As in Envoy, none is one.
        Some(n) => n.max(1),
        None => std::thread::available_parallelism()
            .map_or(1, NonZeroUsize::get)
            .try_into()
            .unwrap_or(1),
    }
}

pub(super) fn without_effect(args: &WithoutEffect) -> Vec<&'static str> {
    let given = [
        ("--base-id", args.base_id.is_some()),
        ("--use-dynamic-base-id", args.use_dynamic_base_id),
        ("--base-id-path", args.base_id_path.is_some()),
        ("--restart-epoch", args.restart_epoch.is_some()),
        ("--parent-shutdown-time-s", args.parent_shutdown_time_s.is_some()),
        ("--socket-path", args.socket_path.is_some()),
        ("--socket-mode", args.socket_mode.is_some()),
        ("--skip-hot-restart-on-no-parent", args.skip_hot_restart_on_no_parent),
        ("--skip-hot-restart-parent-stats", args.skip_hot_restart_parent_stats),
        ("--drain-strategy", args.drain_strategy.is_some()),
        ("--local-address-ip-version", args.local_address_ip_version.is_some()),
        ("--cpuset-threads", args.cpuset_threads),
        ("--enable-mutex-tracing", args.enable_mutex_tracing),
        ("--enable-core-dump", args.enable_core_dump),
        ("--enable-fine-grain-logging", args.enable_fine_grain_logging),
        ("--reject-unknown-dynamic-fields", args.reject_unknown_dynamic_fields),
        ("--ignore-unknown-dynamic-fields", args.ignore_unknown_dynamic_fields),
        ("--disable-extensions", args.disable_extensions.is_some()),
        ("--log-stacktrace-single-entry", args.log_stacktrace_single_entry),
    ];
    given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
}
