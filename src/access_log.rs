//! Where access logs go: files, standard output and standard error.
//!
//! Lines are made by [`front_proxy_layers::access_log`] on the worker that served the request, and
//! handed to a [`LogFile`], which only copies them into a buffer. A thread of the file's own writes
//! that buffer out: when it has grown large, every so often, and at the end. A disk that can't
//! keep up costs lines, which are counted, but never a request its time.
//!
//! ```
//! use front_proxy::access_log::{FlushOptions, LogFiles};
//! use front_proxy_layers::access_log::LogSink as _;
//! use front_proxy_layers::stats::Scope;
//!
//! # fn main() -> std::io::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("access.log");
//! let files = LogFiles::new(&Scope::from_metrics(), FlushOptions::default());
//! let log = files.file(&path)?;
//! log.write(b"GET / 200\n");
//! // The last of it written out; the file ends with whoever holds it.
//! drop((log, files));
//! assert_eq!(std::fs::read_to_string(&path)?, "GET / 200\n");
//! # Ok(()) }
//! ```

mod build;
mod file;
mod files;
mod output;

pub(crate) use build::access_logs;
pub use file::LogFile;
pub use files::{FlushOptions, LogFiles};
