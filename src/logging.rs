//! The proxy's own log: levels by module, changeable while it runs.

use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::Registry;

use crate::admin::{LogLevel, UnknownLogger};

/// The parts of the proxy that log, by Envoy's name for each where there is one.
const LOGGERS: [(&str, &str); 8] = [
    ("admin", "front_proxy::admin"),
    ("config", "front_proxy::config"),
    ("connection", "front_proxy::connection"),
    ("dns", "front_proxy_layers::discover"),
    ("http", "front_proxy_layers::respond"),
    ("main", "front_proxy"),
    ("upstream", "front_proxy_layers::cluster"),
    ("pool", "front_proxy_layers::endpoint"),
];

static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    handle: reload::Handle<Targets, Registry>,
    levels: Mutex<Vec<LogLevel>>,
}

/// Installs the log of the process, on standard error. Later calls change the level only.
pub fn init(level: LogLevel) {
    let levels = vec![level; LOGGERS.len()];
    let (filter, handle) = reload::Layer::new(targets(&levels));
    let installed = tracing_subscriber::registry()
        .with(filter)
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr))
        .try_init()
        .is_ok();
    if installed {
        let _ = LOG.set(Log { handle, levels: Mutex::new(levels) });
    } else {
        let _ = set_level(None, level);
    }
}

/// The loggers with their levels.
pub(crate) fn loggers() -> Vec<(String, LogLevel)> {
    let Some(log) = LOG.get() else { return Vec::new() };
    let levels = log.levels.lock().unwrap_or_else(PoisonError::into_inner);
    let names = LOGGERS.iter().map(|(name, _)| (*name).to_owned());
    names.zip(levels.iter().copied()).collect()
}

/// Sets the level of a logger, or of all.
pub fn set_level(logger: Option<&str>, level: LogLevel) -> Result<(), UnknownLogger> {
    let log = LOG.get().ok_or(UnknownLogger)?;
    let mut levels = log.levels.lock().unwrap_or_else(PoisonError::into_inner);
    match logger {
        None => levels.fill(level),
        Some(name) => {
            let index = LOGGERS.iter().position(|(logger, _)| *logger == name);
            let slot = index.and_then(|index| levels.get_mut(index)).ok_or(UnknownLogger)?;
            *slot = level;
        }
    }
    log.handle.reload(targets(&levels)).map_err(|_| UnknownLogger)
}

fn targets(levels: &[LogLevel]) -> Targets {
    let level = |level: LogLevel| match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Error | LogLevel::Critical => LevelFilter::ERROR,
        LogLevel::Off => LevelFilter::OFF,
    };
    let targets = LOGGERS.iter().zip(levels).map(|((_, target), l)| (*target, level(*l)));
    Targets::new().with_targets(targets)
}
