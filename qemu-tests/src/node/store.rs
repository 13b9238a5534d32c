//! containerd's folder of a new node: every image is there, and next to nothing is copied.
//!
//! Layers and blobs are never written again, so each node sees the payload's own through read-only
//! bind mounts; containerd's databases, which it writes in place, are copied. Copying everything
//! would take a gigabyte of memory for every node and seconds for every test.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::mounts;

/// Folders, relative to the store, whose entries never change; a node that imports an image adds others.
const FROZEN: [&str; 2] = [
    "io.containerd.content.v1.content/blobs/sha256",
    "io.containerd.snapshotter.v1.overlayfs/snapshots",
];

/// Furnishes `to`, a folder that is not there yet, from `store`.
pub fn furnish(store: &Path, to: &Path) -> Result<()> {
    furnish_below(store, Path::new(""), to)
        .with_context(|| format!("cannot furnish {} from {}", to.display(), store.display()))
}

fn furnish_below(store: &Path, below: &Path, to: &Path) -> Result<()> {
    let target = to.join(below);
    fs::create_dir_all(&target)?;
    let is_frozen = FROZEN.iter().any(|frozen| below == Path::new(frozen));
    for entry in fs::read_dir(store.join(below))? {
        let entry = entry?;
        let inner = below.join(entry.file_name());
        if is_frozen {
            mounts::bind_read_only(&entry.path(), &to.join(&inner))?;
        } else if FROZEN
            .iter()
            .any(|frozen| Path::new(frozen).starts_with(&inner))
        {
            furnish_below(store, &inner, to)?;
        } else {
            copy(&entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Copies a file or a tree into a folder with owners and modes; `cp` knows them all.
fn copy(from: &Path, into: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-a").args([from, into]).status()?;
    ensure!(
        status.success(),
        "cp ended with {status} for {}",
        from.display()
    );
    Ok(())
}
