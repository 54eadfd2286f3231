//! All log files of a process: one for each path, however many loggers write to it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use front_proxy_layers::stats::Scope;

use super::LogFile;
use super::file::FileStats;
use super::output::Output;

/// When buffered lines are written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushOptions {
    /// At the latest after this long (`--file-flush-interval-msec`).
    pub interval: Duration,
    /// Or when there are so many bytes of them (`--file-flush-min-size-kb`).
    pub min_size: usize,
}

impl Default for FlushOptions {
    /// Envoy's: 10 s, 64 KiB.
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), min_size: 64 * 1024 }
    }
}

/// The log files that are open. Dropping this writes out what is buffered and closes them; lines
/// that come later are lost.
#[derive(Debug)]
pub struct LogFiles {
    options: FlushOptions,
    stats: Arc<FileStats>,
    files: Mutex<HashMap<Output, (LogFile, JoinHandle<()>)>>,
}

impl LogFiles {
    /// None yet. They count below `root`, as `filesystem.*`.
    pub fn new(root: &Scope, options: FlushOptions) -> Self {
        Self { options, stats: Arc::new(FileStats::new(root)), files: Mutex::default() }
    }

    /// The log at this path, opened if it is not open yet.
    ///
    /// # Errors
    ///
    /// It can't be opened for appending.
    pub fn file(&self, path: &Path) -> io::Result<LogFile> {
        self.open(Output::file(path))
    }

    /// Standard output.
    ///
    /// # Errors
    ///
    /// Its thread can't be started.
    pub fn stdout(&self) -> io::Result<LogFile> {
        self.open(Output::Stdout)
    }

    /// Standard error.
    ///
    /// # Errors
    ///
    /// Its thread can't be started.
    pub fn stderr(&self) -> io::Result<LogFile> {
        self.open(Output::Stderr)
    }

    /// Opens every file anew: they have been moved away.
    pub fn reopen(&self) {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        for (file, _) in files.values() {
            file.reopen();
        }
    }

    fn open(&self, output: Output) -> io::Result<LogFile> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        match files.entry(output) {
            Entry::Occupied(known) => Ok(known.get().0.clone()),
            Entry::Vacant(place) => {
                let opened = LogFile::open(place.key(), self.options, &self.stats)?;
                Ok(place.insert(opened).0.clone())
            }
        }
    }
}

/// How long the end waits for what is still to be written.
const PATIENCE: Duration = Duration::from_secs(5);

impl Drop for LogFiles {
    fn drop(&mut self) {
        let files = self.files.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (file, _) in files.values() {
            file.close();
        }
        // Nobody may be reading a pipe any more: the process ends all the same.
        let deadline = Instant::now() + PATIENCE;
        for (_, (_, thread)) in files.drain() {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

#[cfg(test)]
mod tests;
