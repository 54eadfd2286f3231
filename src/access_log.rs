//! Where access logs go: files, standard output and standard error.
//!
//! Lines are made by [`front_proxy_layers::access_log`] on the worker that served the request, and
//! handed to a [`LogFile`], which only copies them into a buffer. A thread of the file's own writes
//! that buffer out: when it has grown large, every so often, and at the end. A disk that can't
//! keep up costs lines, which are counted, but never a request its time.

mod build;
mod file;
mod files;
mod output;

pub(crate) use build::access_logs;
pub use file::LogFile;
pub use files::{FlushOptions, LogFiles};
