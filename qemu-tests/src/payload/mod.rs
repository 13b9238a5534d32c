//! What a node runs besides slipway: binaries built from pinned Go modules, and images of them.
//!
//! Each upstream is a component with a go.mod of its own in image/payload, and a cache entry of its
//! own, so that raising one version builds one upstream. `target/payload` holds links to the cache.

mod component;
mod go;
mod pause;

use crate::{cache, prereq};
use anyhow::Result;
use component::COMPONENTS;
use std::path::{Path, PathBuf};

/// `target/payload` with the binaries in `bin/` and the CNI plugins in `cni/`.
pub fn binaries(repo: &Path) -> Result<PathBuf> {
    prereq::compilers()?;
    let payload = repo.join("target/payload");
    for component in COMPONENTS {
        place(&go::build(repo, component)?, &payload)?;
    }
    place(&pause::build(repo)?, &payload)?;
    Ok(payload)
}

/// Links every file of a cache entry to the same path below `payload`.
fn place(entry: &Path, payload: &Path) -> Result<()> {
    for file in cache::files_below(entry)? {
        let to = payload.join(file.strip_prefix(entry)?);
        if !cache::is_linked(&file, &to) {
            cache::link(&file, &to)?;
        }
    }
    Ok(())
}
