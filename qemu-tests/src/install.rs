//! `./x install`: what an OS image needs of slipway, and nothing else.

use crate::cache;
use anyhow::{Context, Result};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Folders of the repository and where their files go below the destination.
const FOLDERS: [(&str, &str); 2] = [
    ("dracut/50slipway", "usr/lib/dracut/modules.d/50slipway"),
    ("systemd", "usr/lib/systemd/system"),
];

/// Puts the binary, the dracut module and the systemd units below `destdir`.
pub fn into(repo: &Path, slipway: &Path, destdir: &Path) -> Result<()> {
    place(slipway, &destdir.join("usr/bin/slipway"), 0o755)?;
    for (from, to) in FOLDERS {
        for file in cache::files_below(&repo.join(from))? {
            let is_script = file.extension().is_some_and(|extension| extension == "sh");
            let mode = if is_script { 0o755 } else { 0o644 };
            let name = file.file_name().unwrap_or_default();
            place(&file, &destdir.join(to).join(name), mode)?;
        }
    }
    Ok(())
}

fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let shown = || format!("cannot install {}", to.display());
    fs::create_dir_all(to.parent().unwrap_or(to)).with_context(shown)?;
    fs::copy(from, to).with_context(shown)?;
    fs::set_permissions(to, Permissions::from_mode(mode)).with_context(shown)
}
