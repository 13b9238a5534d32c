//! The OS image; so far its root file system of Debian packages, which images take helpers from.

mod apt;
mod rootfs;

use anyhow::{Context, Result};
pub use rootfs::rootfs;
use std::fs;
use std::path::Path;

/// The lines of a list file that are neither empty nor comments.
fn list(path: &Path) -> Result<Vec<String>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().map(str::trim);
    Ok(lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}
