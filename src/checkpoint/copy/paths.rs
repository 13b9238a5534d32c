//! Names and paths that become paths on the node.
//!
//! The API server has checked them all. They are checked again because root writes there, and because a
//! path that leads elsewhere would be the whole node's.

use anyhow::{Result, bail, ensure};

use super::Files;

/// A name that becomes a folder.
pub(super) fn name(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    ensure!(
        !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain),
        "{name:?} is no name for a folder; a checkpoint's files cannot be kept under it"
    );
    Ok(())
}

/// A path within a volume, without what means nothing in it.
pub(super) fn relative(path: &str) -> Result<String> {
    let parts: Vec<_> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    let leads_out = path.starts_with('/') || parts.iter().any(|part| part.starts_with(".."));
    ensure!(
        !leads_out && !parts.is_empty() && !path.contains('\0'),
        "the path {path:?} leads out of its volume or to nowhere; correct the volume's items"
    );
    Ok(parts.join("/"))
}

/// No file may be another one's folder.
pub(super) fn fit(volume: &str, files: &Files) -> Result<()> {
    for path in files.keys() {
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        for folder in folders {
            if files.contains_key(folder) {
                bail!(
                    "volume {volume}: {folder} is a file and the folder of {path}; correct its items"
                );
            }
        }
    }
    Ok(())
}
