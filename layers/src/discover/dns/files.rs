//! Files that are read again when they have changed.

use crate::lock::lock;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// A file and what was made of it.
#[derive(Debug)]
pub(super) struct Watched<T> {
    path: PathBuf,
    state: Mutex<Option<(Option<Stamp>, Arc<T>)>>,
}

/// What tells one state of a file from another. The length is there for file systems with coarse
/// times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    len: u64,
}

impl<T> Watched<T> {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::new(None) }
    }

    /// What `make` makes of the file as it is now; called only if the file has changed.
    ///
    /// This blocks for one `stat`, which the kernel answers from memory.
    pub(super) fn load(&self, make: impl FnOnce(&Path) -> T) -> Arc<T> {
        let stamp = stamp(&self.path).ok();
        let mut state = lock(&self.state);
        match &*state {
            Some((known, value)) if *known == stamp => Arc::clone(value),
            _ => {
                let value = Arc::new(make(&self.path));
                *state = Some((stamp, Arc::clone(&value)));
                value
            }
        }
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let meta = fs::metadata(path)?;
    Ok(Stamp { modified: meta.modified()?, len: meta.len() })
}
