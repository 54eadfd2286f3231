//! A log file with a buffer before it and a thread behind it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use front_proxy_layers::access_log::LogSink;
use front_proxy_layers::stats::{Counter, Gauge, Scope};

use super::files::FlushOptions;
use super::output::{OpenOutput, Output};

/// A log that lines are added to. Adding one copies it and returns; clones are the same log.
#[derive(Clone, Debug)]
pub struct LogFile(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: Output,
    buffer: Mutex<Buffer>,
    /// Something is to be done before the timer says so.
    wake: Condvar,
    flush_size: usize,
    stats: Arc<FileStats>,
}

#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// Lines in `bytes`.
    lines: u64,
    /// Lines that found no room since the last flush.
    lost: u64,
    reopen: bool,
    closed: bool,
}

/// What may wait for the disk. Beyond it lines are lost rather than memory.
const CAPACITY: usize = 8 * 1024 * 1024;

impl LogSink for LogFile {
    fn write(&self, line: &[u8]) {
        let shared = &*self.0;
        let mut buffer = shared.lock();
        if buffer.closed || buffer.bytes.len() + line.len() > CAPACITY {
            buffer.lost += 1;
            drop(buffer);
            shared.stats.write_failed.increment(1);
            return;
        }
        let before = buffer.bytes.len();
        buffer.bytes.extend_from_slice(line);
        buffer.lines += 1;
        let full = before < shared.flush_size && buffer.bytes.len() >= shared.flush_size;
        drop(buffer);
        shared.stats.write_buffered.increment(1);
        shared.stats.write_total_buffered.increment(line.len() as f64);
        if full {
            shared.wake.notify_one();
        }
    }
}

impl LogFile {
    /// Opens `output` and starts its thread.
    pub(super) fn open(
        output: &Output,
        options: FlushOptions,
        stats: &Arc<FileStats>,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let opened = output.open()?;
        let shared = Arc::new(Shared {
            name: output.clone(),
            buffer: Mutex::default(),
            wake: Condvar::new(),
            flush_size: options.min_size.max(1),
            stats: Arc::clone(stats),
        });
        let mut writer = Writer {
            shared: Arc::clone(&shared),
            output: opened,
            interval: options.interval.max(Duration::from_millis(1)),
            complained: false,
        };
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.run())?;
        Ok((Self(shared), thread))
    }

    /// Opens the file anew before the next line is written.
    pub(super) fn reopen(&self) {
        self.0.lock().reopen = true;
        self.0.wake.notify_one();
    }

    /// Writes what there is, and lets the thread end.
    pub(super) fn close(&self) {
        self.0.lock().closed = true;
        self.0.wake.notify_one();
    }
}

impl Shared {
    /// A panic elsewhere leaves the buffer as it was between two lines.
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread behind a file.
#[derive(Debug)]
struct Writer {
    shared: Arc<Shared>,
    output: OpenOutput,
    interval: Duration,
    /// The log of the process is told once when lines are lost, not for each.
    complained: bool,
}

impl Writer {
    fn run(&mut self) {
        let mut bytes = Vec::new();
        loop {
            let (lines, lost, reopen, closed) = {
                let mut buffer = self.wait();
                // The two vectors take turns: neither is made anew for each flush.
                std::mem::swap(&mut buffer.bytes, &mut bytes);
                let taken = (buffer.lines, buffer.lost, buffer.reopen, buffer.closed);
                (buffer.lines, buffer.lost, buffer.reopen) = (0, 0, false);
                taken
            };
            if reopen {
                self.reopen();
            }
            if !bytes.is_empty() {
                self.write(&bytes, lines);
                bytes.clear();
                bytes.shrink_to(self.shared.flush_size.saturating_mul(4));
            }
            self.complain(lost);
            if closed {
                return;
            }
        }
    }

    /// Waits until there is something to do, which the timer alone does not mean.
    fn wait(&self) -> MutexGuard<'_, Buffer> {
        let mut buffer = self.shared.lock();
        let mut due = Instant::now() + self.interval;
        loop {
            if buffer.closed || buffer.reopen || buffer.bytes.len() >= self.shared.flush_size {
                return buffer;
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // Envoy counts the timer, whether or not it finds anything to write.
                self.shared.stats.flushed_by_timer.increment(1);
                if !buffer.bytes.is_empty() || buffer.lost > 0 {
                    return buffer;
                }
                due = Instant::now() + self.interval;
                continue;
            }
            buffer = match self.shared.wake.wait_timeout(buffer, left) {
                Ok((buffer, _)) => buffer,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Lines in the buffer go to the new file, as in Envoy. Where it can't be opened the old one is
    /// kept, so that nothing is lost.
    fn reopen(&mut self) {
        match self.shared.name.open() {
            Ok(output) => self.output = output,
            Err(error) => {
                self.shared.stats.reopen_failed.increment(1);
                let name = &self.shared.name;
                tracing::error!(target: "file", %error, ?name, "can't open the access log anew");
            }
        }
    }

    fn write(&mut self, bytes: &[u8], lines: u64) {
        let stats = &self.shared.stats;
        match self.output.write(bytes) {
            Ok(()) => {
                stats.write_completed.increment(1);
                self.complained = false;
            }
            Err(error) => {
                stats.write_failed.increment(1);
                if !self.complained {
                    self.complained = true;
                    let name = &self.shared.name;
                    tracing::error!(target: "file", %error, lines, ?name, "can't write the access log");
                }
            }
        }
        stats.write_total_buffered.decrement(bytes.len() as f64);
    }

    fn complain(&mut self, lost: u64) {
        if lost > 0 && !self.complained {
            self.complained = true;
            let name = &self.shared.name;
            tracing::error!(target: "file", lost, ?name, "the access log can't keep up");
        }
    }
}

/// `filesystem.*`, over all files.
pub(super) struct FileStats {
    flushed_by_timer: Counter,
    reopen_failed: Counter,
    write_buffered: Counter,
    write_completed: Counter,
    write_failed: Counter,
    write_total_buffered: Gauge,
}

impl FileStats {
    pub(super) fn new(root: &Scope) -> Self {
        let scope = root.child("filesystem");
        Self {
            flushed_by_timer: scope.counter("flushed_by_timer"),
            reopen_failed: scope.counter("reopen_failed"),
            write_buffered: scope.counter("write_buffered"),
            write_completed: scope.counter("write_completed"),
            write_failed: scope.counter("write_failed"),
            write_total_buffered: scope.gauge("write_total_buffered"),
        }
    }
}

impl std::fmt::Debug for FileStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileStats").finish_non_exhaustive()
    }
}
