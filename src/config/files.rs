//! The files that a configuration names.

use std::io::Read;
use std::path::Path;

/// Far more than any certificate or error page needs.
const MAX_FILE: u64 = 16 << 20;

/// What a file holds.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = path.metadata().map_err(|e| e.to_string())?;
    // Opening a pipe or a terminal would wait for whoever writes to it.
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("it is larger than {} MiB", MAX_FILE >> 20));
    }
    Ok(bytes)
}
