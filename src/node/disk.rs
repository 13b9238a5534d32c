//! Room on a disk.

use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::statvfs::statvfs;

/// Bytes that are free where a folder lies, for those who are not root.
///
/// # Errors
/// If the folder cannot be looked at.
pub fn free(folder: &Path) -> Result<u64> {
    let stat = statvfs(folder).with_context(|| format!("cannot look at {}", folder.display()))?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}
