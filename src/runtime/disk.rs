//! `disk_layer`: a file for each value, in folders for the parts of its key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Values;
use crate::config::model::{DiskLayer, RuntimeEntry};
use crate::config::runtime_entry;

/// Envoy's limit, too.
const MAX_DEPTH: usize = 16;

/// More than this is no value.
const MAX_BYTES: u64 = 1 << 20;

/// What a layer says; `None` if there is no such folder.
pub(super) fn read(layer: &DiskLayer, service_cluster: &str) -> Result<Option<Values>, String> {
    let mut folder = layer.symlink_root.join(layer.subdirectory.trim_start_matches('/'));
    if layer.append_service_cluster {
        folder.push(service_cluster);
    }
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut values = Values::new();
    walk(&folder, "", 1, &mut values)?;
    Ok(Some(values))
}

fn walk(folder: &Path, prefix: &str, depth: usize, values: &mut Values) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("{} lies more than {MAX_DEPTH} folders deep", folder.display()));
    }
    let failed = |path: &Path, why: io::Error| format!("{}: {why}", path.display());
    for found in fs::read_dir(folder).map_err(|why| failed(folder, why))? {
        let found = found.map_err(|why| failed(folder, why))?;
        let path = found.path();
        let Ok(name) = found.file_name().into_string() else {
            return Err(format!("{}: the name is not text", path.display()));
        };
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let metadata = fs::metadata(&path).map_err(|why| failed(&path, why))?;
        if metadata.is_dir() {
            walk(&path, &key, depth + 1, values)?;
        } else if metadata.is_file() {
            if metadata.len() > MAX_BYTES {
                return Err(format!("{}: larger than {MAX_BYTES} bytes", path.display()));
            }
            let text = fs::read_to_string(&path).map_err(|why| failed(&path, why))?;
            let entry = value(&text).map_err(|why| format!("{}: {why}", path.display()))?;
            values.insert(key, entry);
        }
    }
    Ok(())
}

/// What a file says: its lines without comments, and without what is blank at the end.
fn value(text: &str) -> Result<RuntimeEntry, String> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let text = lines.collect::<Vec<_>>().join("\n");
    runtime_entry(text.trim_end()).map_err(|error| error.message().to_owned())
}

/// What tells one state of a link from another.
pub(super) fn stamp(root: &Path) -> Option<(Option<PathBuf>, Option<SystemTime>)> {
    let metadata = fs::symlink_metadata(root).ok()?;
    // Of a folder the time changes with what is in it, which Envoy does not look at.
    let modified = if metadata.is_symlink() { metadata.modified().ok() } else { None };
    Some((fs::read_link(root).ok(), modified))
}
