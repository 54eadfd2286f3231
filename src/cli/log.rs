//! The proxy's own log: levels by component, lines in spdlog's format.
//!
//! Components are Envoy's, so that its `--component-log-level` works unchanged. One is the module
//! that follows the crate in a log target, by its own name (`front_proxy::admin::…` is `admin`) or
//! by that of its counterpart in Envoy; the bare target `admin` is it too.

mod pattern;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use self::pattern::Pattern;
use super::Options;
use crate::admin::LogLevel;

/// The components whose levels can be set: all of Envoy's, in its order.
pub const COMPONENTS: &[&str] = &[
    "a2a",
    "admin",
    "ai_protocol_manager",
    "alternate_protocols_cache",
    "aws",
    "assert",
    "backtrace",
    "basic_auth",
    "cache_filter",
    "client",
    "config",
    "connection",
    "conn_handler",
    "compression",
    "credential_injector",
    "decompression",
    "dns",
    "dubbo",
    "envoy_bug",
    "ext_authz",
    "ext_proc",
    "rocketmq",
    "file",
    "filter",
    "forward_proxy",
    "geolocation",
    "grpc",
    "happy_eyeballs",
    "hc",
    "health_checker",
    "http",
    "http2",
    "hystrix",
    "init",
    "io",
    "jwt",
    "json_rpc",
    "kafka",
    "key_value_store",
    "lua",
    "local_rate_limit",
    "main",
    "matcher",
    "mcp",
    "misc",
    "mongo",
    "multi_connection",
    "notification",
    "oauth2",
    "quic",
    "quic_stream",
    "pool",
    "rate_limit_quota",
    "rbac",
    "rds",
    "redis",
    "router",
    "runtime",
    "stats",
    "secret",
    "sse",
    "tap",
    "testing",
    "thrift",
    "tracing",
    "upstream",
    "udp",
    "wasm",
    "websocket",
    "golang",
    "stats_sinks",
    "dynamic_modules",
    "ip_tagging",
];

/// The modules of the two crates that go by the name of another component: by what their
/// counterpart is called in Envoy.
const MODULES: &[(&str, &str)] = &[
    ("access_log", "file"),
    ("balance", "upstream"),
    ("cli", "main"),
    ("cluster", "upstream"),
    ("cluster_manager", "upstream"),
    ("discover", "dns"),
    ("endpoint", "pool"),
    ("forwarded", "http"),
    ("health", "hc"),
    ("http_connection_manager", "http"),
    ("listener", "conn_handler"),
    ("request_id", "http"),
    ("retry", "router"),
    ("route", "router"),
    ("sanitize", "http"),
    ("timeout", "router"),
    ("upstream_timing", "router"),
];

const CRATES: [&str; 2] = ["front_proxy_layers", "front_proxy"];

/// The level of a name, as `--log-level` takes it.
pub(super) fn level(name: &str) -> Result<LogLevel, String> {
    LogLevel::parse(name).ok_or_else(|| format!("invalid log level specified '{name}'"))
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        // Nothing here is worse than an error; what ends the process is printed anyway.
        LogLevel::Error | LogLevel::Critical => LevelFilter::ERROR,
        LogLevel::Off => LevelFilter::OFF,
    }
}

/// Reads `upstream:debug,config:trace`.
///
/// # Errors
///
/// What is wrong with it, in words: no `:`, or no such component or level.
pub fn parse_components(text: &str) -> Result<Vec<(&'static str, LogLevel)>, String> {
    text.split(',')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, level) = part
                .split_once(':')
                .ok_or_else(|| format!("component log level '{part}' is not component:level"))?;
            let level = self::level(level)?;
            let component = COMPONENTS
                .iter()
                .find(|c| **c == name)
                .ok_or_else(|| format!("invalid component specified '{name}'"))?;
            Ok((*component, level))
        })
        .collect()
}

/// Components with their levels.
type Levels = Vec<(&'static str, LogLevel)>;

/// The levels of a running proxy, which the admin server shows and changes.
#[derive(Debug)]
pub struct LogLevels {
    levels: Mutex<Levels>,
    filter: reload::Handle<Targets, Registry>,
    /// Where lines go, if not to standard error.
    file: Option<LogOutput>,
}

impl LogLevels {
    /// Every component with its level, in Envoy's order.
    pub fn levels(&self) -> Vec<(&'static str, LogLevel)> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens the log file anew, after it was moved away. Where that fails the old one is kept.
    ///
    /// # Errors
    ///
    /// The file can't be opened.
    pub fn reopen(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), LogOutput::reopen)
    }

    /// Sets the level of every component.
    pub fn set_all(&self, level: LogLevel) {
        self.change(|levels| levels.iter_mut().for_each(|(_, l)| *l = level));
    }

    /// Sets the level of a component; `false` where there is none of the name.
    pub fn set(&self, component: &str, level: LogLevel) -> bool {
        let mut found = false;
        self.change(|levels| {
            if let Some((_, l)) = levels.iter_mut().find(|(c, _)| *c == component) {
                *l = level;
                found = true;
            }
        });
        found
    }

    fn change(&self, edit: impl FnOnce(&mut Levels)) {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        edit(&mut levels);
        // Fails only once the subscriber is gone, and then there is nothing to log to.
        let _ = self.filter.reload(targets(&levels));
    }
}

/// Starts logging as the options say. Where a subscriber is already installed, it stays.
///
/// # Errors
///
/// The log file can't be opened.
pub fn start(options: &Options) -> io::Result<LogLevels> {
    // Checked when the command line was read.
    let given = parse_components(&options.component_log_level).unwrap_or_default();
    // The last word on a component counts.
    let level = |component| {
        let given = given.iter().rev().find(|(given, _)| *given == component);
        given.map_or(options.log_level, |(_, level)| *level)
    };
    let levels: Levels =
        COMPONENTS.iter().map(|component| (*component, level(*component))).collect();
    let (filter, handle) = reload::Layer::new(targets(&levels));
    let layer = tracing_subscriber::fmt::layer()
        .event_format(Pattern::new(&options.log_format, options.log_format_escaped))
        .with_ansi(false);
    let path = Some(&options.log_path).filter(|path| !path.is_empty());
    let file = path.map(|path| LogOutput::open(path)).transpose()?;
    let layer = match &file {
        None => layer.with_writer(io::stderr).boxed(),
        Some(file) => layer.with_writer(file.clone()).boxed(),
    };
    // Two layers, not one made of both: that would hide the filter's highest level, and every span
    // of every crate, switched off or not, would be looked up among the targets.
    let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
    Ok(LogLevels { levels: Mutex::new(levels), filter: handle, file })
}

/// The log's file, which may be opened anew.
#[derive(Clone, Debug)]
struct LogOutput {
    path: Arc<Path>,
    file: Arc<Mutex<File>>,
}

impl LogOutput {
    fn open(path: &str) -> io::Result<Self> {
        let path: Arc<Path> = Path::new(path).into();
        let file = Arc::new(Mutex::new(append(&path)?));
        Ok(Self { path, file })
    }

    fn reopen(&self) -> io::Result<()> {
        let file = append(&self.path)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }
}

impl io::Write for LogOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogOutput {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// The rest goes by `main`: libraries, and whatever belongs to no component.
fn targets(levels: &Levels) -> Targets {
    let rest = levels.iter().find(|(component, _)| *component == "main");
    let rest = rest.map_or(LogLevel::Info, |(_, level)| *level);
    let mut targets = Targets::new().with_default(filter(rest));
    for (component, level) in levels {
        targets = targets.with_target(*component, filter(*level));
        let modules = MODULES.iter().filter(|(_, c)| c == component);
        for module in modules.map(|(module, _)| module).chain([component]) {
            for krate in CRATES {
                targets = targets.with_target(format!("{krate}::{module}"), filter(*level));
            }
        }
    }
    targets
}

/// The component of a log target.
fn component(target: &str) -> &str {
    let Some(module) = CRATES.iter().find_map(|krate| target.strip_prefix(krate)) else {
        return target;
    };
    let Some(module) = module.strip_prefix("::") else {
        return "main";
    };
    let module = module.split("::").next().unwrap_or(module);
    let other = MODULES.iter().find(|(m, _)| *m == module);
    other.map_or(module, |(_, component)| component)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn components_are_envoys() {
        // Not sorted: in the order in which Envoy lists them.
        assert_eq!(COMPONENTS[3..7], ["alternate_protocols_cache", "aws", "assert", "backtrace"]);
        assert_eq!(COMPONENTS.iter().collect::<BTreeSet<_>>().len(), COMPONENTS.len());
        assert_eq!(component("front_proxy::admin::stats"), "admin");
        assert_eq!(component("front_proxy_layers::route::table"), "router");
        assert_eq!(component("front_proxy"), "main");
        assert_eq!(component("hyper::proto"), "hyper::proto");
        for (_, component) in MODULES {
            assert!(COMPONENTS.contains(component), "{component}");
        }
    }

    #[test]
    fn levels_go_by_component() {
        let mut levels = vec![("main", LogLevel::Warning), ("router", LogLevel::Info)];
        levels.extend(parse_components("upstream:debug,admin:off").unwrap());
        let targets = targets(&levels);
        let enabled = |target, level| targets.would_enable(target, &level);
        assert!(enabled("front_proxy_layers::cluster::pick", tracing::Level::DEBUG));
        assert!(enabled("upstream", tracing::Level::DEBUG));
        assert!(!enabled("front_proxy_layers::route", tracing::Level::DEBUG));
        assert!(enabled("front_proxy_layers::retry", tracing::Level::INFO));
        assert!(!enabled("front_proxy::admin", tracing::Level::ERROR));
        assert!(!enabled("hyper", tracing::Level::INFO));
    }
}
