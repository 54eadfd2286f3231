//! What a log is written to, and how it is opened anew.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where lines end up. Two loggers with equal outputs share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Output {
    File(PathBuf),
    Stdout,
    Stderr,
}

impl Output {
    /// The output of a file's path. The devices are the streams themselves: opening them fails
    /// where standard output is a socket, as under systemd.
    pub(super) fn file(path: &Path) -> Self {
        match path.to_str() {
            Some("/dev/stdout") => Self::Stdout,
            Some("/dev/stderr") => Self::Stderr,
            _ => Self::File(path.to_owned()),
        }
    }

    pub(super) fn open(&self) -> io::Result<OpenOutput> {
        Ok(match self {
            Self::File(path) => {
                OpenOutput::File(OpenOptions::new().append(true).create(true).open(path)?)
            }
            Self::Stdout => OpenOutput::Stdout,
            Self::Stderr => OpenOutput::Stderr,
        })
    }
}

/// An output that is open.
#[derive(Debug)]
pub(super) enum OpenOutput {
    File(File),
    Stdout,
    Stderr,
}

impl OpenOutput {
    /// Writes all of it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_all(bytes),
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Self::Stderr => io::stderr().lock().write_all(bytes),
        }
    }
}
