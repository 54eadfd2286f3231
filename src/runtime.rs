//! `layered_runtime`: layers of values, of which each goes before those below it.
//!
//! [`LayeredRuntime`] keeps the layers of a bootstrap and tells its
//! [`Runtime`], which is what everything else follows, what they
//! say together. [`Server`](crate::server::Server) has one, and so have services made by
//! [`from_config`](crate::from_config).
//!
//! ```
//! use front_proxy::runtime::LayeredRuntime;
//! use front_proxy_layers::stats::Scope;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = "layered_runtime: {layers: [
//!     {name: base, static_layer: {canary: 5}}, {name: admin, admin_layer: {}}]}";
//! let bootstrap = front_proxy::config::load_str("example.yaml", text)?;
//! let runtime = LayeredRuntime::new(&bootstrap, &Scope::noop());
//! let canary = bootstrap.runtime.key("canary");
//! assert_eq!(canary.integer(), Some(5));
//! runtime.modify([("canary", "20")])?;
//! assert_eq!(canary.integer(), Some(20));
//! runtime.modify([("canary", "")])?;
//! assert_eq!(canary.integer(), Some(5));
//! # Ok(()) }
//! ```

mod disk;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use front_proxy_layers::runtime::Runtime;
use front_proxy_layers::stats::{Counter, Gauge, Scope};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::admin::RuntimeStatus;
use crate::config::model::{Bootstrap, RuntimeEntry, RuntimeLayer, RuntimeSource};
use crate::config::runtime_entry;

/// Values by their keys.
type Values = BTreeMap<String, RuntimeEntry>;

/// The layers of a bootstrap, and what they say.
pub struct LayeredRuntime {
    layers: Vec<RuntimeLayer>,
    service_cluster: String,
    runtime: Runtime,
    stats: Stats,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the admin layer says.
    overrides: Values,
    /// All layers as of the latest reading, the lowest first.
    layers: Vec<(String, Values)>,
}

/// The values could not be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModifyError {
    /// There is no `admin_layer` for them.
    NoAdminLayer,
    /// One of them is no YAML; this is why.
    Unreadable(String),
}

impl fmt::Display for ModifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAdminLayer => f.write_str("No admin layer specified"),
            Self::Unreadable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ModifyError {}

impl LayeredRuntime {
    /// The layers of a bootstrap, read. Stats go below `root`, as `runtime.*`.
    pub fn new(bootstrap: &Bootstrap, root: &Scope) -> Self {
        let layered = Self {
            layers: bootstrap.runtime_layers.clone(),
            service_cluster: bootstrap.node.cluster.clone(),
            runtime: bootstrap.runtime.clone(),
            stats: Stats::new(&root.child("runtime")),
            state: Mutex::default(),
        };
        layered.load();
        layered
    }

    /// Reads the layers anew: those on disk may say something else now.
    pub fn load(&self) {
        self.read(&mut self.state());
    }

    /// Overrides values in the admin layer; an empty text ends an override.
    ///
    /// # Errors
    ///
    /// There is no admin layer, or a value can't be read. Nothing has changed then.
    pub fn modify<K, V>(&self, values: impl IntoIterator<Item = (K, V)>) -> Result<(), ModifyError>
    where
        K: Into<String>,
        V: AsRef<str>,
    {
        if !self.layers.iter().any(|layer| matches!(layer.source, RuntimeSource::Admin)) {
            return Err(ModifyError::NoAdminLayer);
        }
        let read = |(key, text): (K, V)| {
            let entry = match text.as_ref() {
                "" => None,
                text => Some(
                    runtime_entry(text)
                        .map_err(|error| ModifyError::Unreadable(error.message().to_owned()))?,
                ),
            };
            Ok((key.into(), entry))
        };
        let values = values.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut state = self.state();
        for (key, entry) in values {
            match entry {
                Some(entry) => _ = state.overrides.insert(key, entry),
                None => _ = state.overrides.remove(&key),
            }
        }
        self.stats.admin_overrides_active.set(if state.overrides.is_empty() { 0.0 } else { 1.0 });
        self.read(&mut state);
        Ok(())
    }

    /// The layers with what each of them says.
    pub fn status(&self) -> RuntimeStatus {
        let layers = &self.state().layers;
        let mut entries: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (nth, (_, values)) in layers.iter().enumerate() {
            for (key, entry) in values {
                let texts = entries.entry(key.clone()).or_default();
                texts.resize(layers.len(), String::new());
                texts[nth].clone_from(&entry.text);
            }
        }
        for texts in entries.values_mut() {
            texts.resize(layers.len(), String::new());
        }
        RuntimeStatus { layers: layers.iter().map(|(name, _)| name.clone()).collect(), entries }
    }

    /// Reads layers on disk anew whenever their link is replaced, for ever. At once where there are none.
    pub(crate) async fn follow_disk(self: Arc<Self>) {
        let roots: Vec<PathBuf> =
            self.disk_layers().map(|disk| disk.symlink_root.clone()).collect();
        if roots.is_empty() {
            return;
        }
        let stamps = move || roots.iter().map(|root| disk::stamp(root)).collect::<Vec<_>>();
        let mut before = stamps();
        loop {
            sleep(LOOK).await;
            let now = stamps();
            if now != before {
                before = now;
                let this = Arc::clone(&self);
                // A task that panics has been logged as such.
                _ = spawn_blocking(move || this.load()).await;
            }
        }
    }

    fn disk_layers(&self) -> impl Iterator<Item = &crate::config::model::DiskLayer> {
        self.layers.iter().filter_map(|layer| match &layer.source {
            RuntimeSource::Disk(disk) => Some(disk),
            RuntimeSource::Static(_) | RuntimeSource::Admin => None,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, state: &mut State) {
        let mut layers = Vec::with_capacity(self.layers.len());
        let (mut on_disk, mut failed) = (0, false);
        for RuntimeLayer { name, source } in &self.layers {
            let values = match source {
                RuntimeSource::Static(entries) => entries.iter().cloned().collect(),
                RuntimeSource::Admin => state.overrides.clone(),
                RuntimeSource::Disk(disk) => match disk::read(disk, &self.service_cluster) {
                    Ok(Some(values)) => {
                        on_disk += 1;
                        values
                    }
                    // A folder that is not there is no layer.
                    Ok(None) => continue,
                    Err(why) => {
                        tracing::error!(target: "runtime", layer = name, %why, "can't be read");
                        failed = true;
                        continue;
                    }
                },
            };
            layers.push((name.clone(), values));
        }
        let merged: HashMap<&String, _> = layers
            .iter()
            .flat_map(|(_, values)| values)
            .map(|(key, entry)| (key, entry.value))
            .collect();
        self.stats.loaded(layers.len(), merged.len(), on_disk, failed);
        self.runtime.replace(merged.into_iter().map(|(key, value)| (key.as_str(), value)));
        state.layers = layers;
    }
}

/// How often links are looked at.
const LOOK: Duration = Duration::from_secs(1);

impl fmt::Debug for LayeredRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayeredRuntime").field("runtime", &self.runtime).finish_non_exhaustive()
    }
}

/// `runtime.*`
struct Stats {
    load_success: Counter,
    load_error: Counter,
    override_dir_exists: Counter,
    override_dir_not_exists: Counter,
    admin_overrides_active: Gauge,
    num_keys: Gauge,
    num_layers: Gauge,
}

impl Stats {
    fn new(scope: &Scope) -> Self {
        Self {
            load_success: scope.counter("load_success"),
            load_error: scope.counter("load_error"),
            override_dir_exists: scope.counter("override_dir_exists"),
            override_dir_not_exists: scope.counter("override_dir_not_exists"),
            admin_overrides_active: scope.gauge("admin_overrides_active"),
            num_keys: scope.gauge("num_keys"),
            num_layers: scope.gauge("num_layers"),
        }
    }

    fn loaded(&self, layers: usize, keys: usize, on_disk: usize, failed: bool) {
        if failed { &self.load_error } else { &self.load_success }.increment(1);
        // One folder is the base; Envoy takes a second one for what overrides it.
        let overrides = on_disk > 1;
        if overrides { &self.override_dir_exists } else { &self.override_dir_not_exists }
            .increment(1);
        self.num_keys.set(keys as f64);
        self.num_layers.set(layers as f64);
    }
}

#[cfg(test)]
mod tests;
