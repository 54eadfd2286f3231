//! Certificates, keys and authorities are taken anew when their files change.
//!
//! Every second the files are looked at, by name: a link that points elsewhere now, as
//! Kubernetes swaps `..data`, is a change like any other. A context whose files can't be read, or
//! whose key does not belong to its certificate, stays as it was; so a pair that is replaced one
//! file after the other is taken when both are there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use front_proxy_layers::stats::{Counter, Scope};
use tokio::task::JoinHandle;

use crate::config::files;
use crate::config::model::DataSource;

/// A TLS context that is made of files.
pub(crate) trait Context: fmt::Debug + Send + Sync {
    /// What it was made of, as far as that came from files.
    fn contents(&self) -> Contents;

    /// Makes it anew of what the files hold now.
    fn renew(&self, contents: &Contents) -> Result<(), String>;
}

/// What files hold, or why they can't be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents(BTreeMap<PathBuf, Result<Arc<[u8]>, String>>);

impl Contents {
    /// As they were when the sources were read.
    pub(crate) fn of<'s>(sources: impl Iterator<Item = &'s DataSource>) -> Self {
        let files = sources
            .filter_map(|source| Some((source.file.clone()?, Ok(Arc::clone(&source.bytes)))));
        Self(files.collect())
    }

    /// Gives a source that is one of the files what the file holds.
    pub(crate) fn put_into(&self, source: &mut DataSource) {
        let found = source.file.as_ref().and_then(|file| self.0.get(file));
        if let Some(Ok(bytes)) = found {
            source.bytes = Arc::clone(bytes);
        }
    }

    /// As they are now.
    fn read_again(&self) -> Self {
        let read = |path: &PathBuf| (path.clone(), files::read(path).map(Into::into));
        Self(self.0.keys().map(read).collect())
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        self.0.keys().map(|path| Stamp::of(path)).collect()
    }

    fn first_error(&self) -> Option<String> {
        self.0.iter().find_map(|(path, read)| {
            let why = read.as_ref().err()?;
            Some(format!("can't read the file `{}`: {why}", path.display()))
        })
    }
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = path.metadata().ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { modified: metadata.modified().ok(), len: metadata.len(), inode })
    }
}

/// A context with what was last seen of its files.
#[derive(Debug)]
pub(crate) struct Watched {
    /// What it is called in the log.
    what: String,
    context: Arc<dyn Context>,
    contents: Contents,
    stamps: Vec<Option<Stamp>>,
    renewed: Counter,
    failed: Counter,
}

impl Watched {
    /// `None` where there is no file. `scope` is that of its stats: `..._ssl_socket_factory`.
    pub(crate) fn new(what: String, context: Arc<dyn Context>, scope: &Scope) -> Option<Self> {
        let contents = context.contents();
        if contents == Contents::default() {
            return None;
        }
        Some(Self {
            what,
            context,
            contents,
            // Not as they are now: they may have changed since they were read.
            stamps: Vec::new(),
            renewed: scope.counter("ssl_context_update_by_sds"),
            failed: scope.counter("key_rotation_failed"),
        })
    }

    /// Takes over what has changed. Says whether anything was.
    fn look(&mut self) -> bool {
        let stamps = self.contents.stamps();
        if stamps == self.stamps {
            return false;
        }
        self.stamps = stamps;
        let contents = self.contents.read_again();
        if contents == self.contents {
            return false;
        }
        self.contents = contents;
        self.renew()
    }

    fn renew(&self) -> bool {
        let result = match self.contents.first_error() {
            Some(why) => Err(why),
            None => self.context.renew(&self.contents),
        };
        let what = &self.what;
        match &result {
            Ok(()) => {
                self.renewed.increment(1);
                tracing::info!(target: "secret", "{what}: its certificates were taken anew");
            }
            Err(why) => {
                self.failed.increment(1);
                tracing::warn!(target: "secret", "{what}: its certificates stay as they were: {why}");
            }
        }
        result.is_ok()
    }
}

/// Looks after files until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch(Option<JoinHandle<()>>);

/// Looks after the files of these contexts, on the current runtime. `renewed` is called after any
/// of them has been taken anew.
pub(crate) fn watch(
    mut contexts: Vec<Watched>,
    renewed: impl Fn() + Send + Sync + 'static,
) -> Watch {
    if contexts.is_empty() {
        return Watch(None);
    }
    let renewed = Arc::new(renewed);
    Watch(Some(tokio::spawn(async move {
        loop {
            tokio::time::sleep(INTERVAL).await;
            // Files may lie on a disk that takes its time.
            let renewed = Arc::clone(&renewed);
            let looked = tokio::task::spawn_blocking(move || {
                let any = contexts.iter_mut().fold(false, |any, one| one.look() | any);
                if any {
                    renewed();
                }
                contexts
            });
            match looked.await {
                Ok(back) => contexts = back,
                Err(_) => return,
            }
        }
    })))
}

/// How often files are looked at: soon enough for whoever waits after a renewal, and seldom enough
/// to cost nothing.
const INTERVAL: Duration = Duration::from_secs(1);

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
