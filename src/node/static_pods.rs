//! The permanent control plane on this node: static pods, each with a folder of what it reads.
//!
//! What a pod reads is what its manifest names, so a person who edits one need tell nobody. A folder
//! holds nothing else: what is not read any more goes, an authority's key above all.

use std::collections::BTreeSet;
use std::os::unix::fs::chown;
use std::path::Path;

use anyhow::{Context, Result};

use super::files::{self, Look, below};
use super::tree;
use crate::assets::{Asset, Assets, CONTROL_PLANE_UID, STATIC_MANIFESTS, named};

/// Where the static pods' secrets lie, a folder a pod.
pub const SECRETS: &str = "/etc/kubernetes/secrets";

/// Puts the static pods of an asset directory into the kubelet's `folder` and returns the paths that changed. A
/// directory without static pods changes nothing.
pub fn install(assets: &Assets, root: &Path, folder: &Path) -> Result<Vec<String>> {
    let mut changed = Vec::new();
    for (file, _) in assets.below(STATIC_MANIFESTS) {
        changed.extend(install_one(assets, file, root, folder)?);
    }
    Ok(changed)
}

/// Puts one static pod in place, what it reads first, and returns the paths that changed.
pub fn install_one(assets: &Assets, file: &str, root: &Path, folder: &Path) -> Result<Vec<String>> {
    let asset = format!("{STATIC_MANIFESTS}{file}");
    let pod = assets
        .get(&asset)
        .with_context(|| format!("there is no {asset}"))?;
    let text =
        std::str::from_utf8(pod.bytes.expose()).with_context(|| format!("{asset} is not UTF-8"))?;
    let base = below(root, SECRETS);
    own_folder(&base)?;
    let base = base.join(file.trim_end_matches(".yaml"));
    let mut changed = place_secrets(&base, named(assets.below("tls/"), text).into_iter())?;
    let look = Look {
        mode: pod.mode,
        owner: None,
    };
    let path = folder.join(file);
    if files::write(&path, pod.bytes.expose(), look)? {
        changed.push(path.display().to_string());
    }
    Ok(changed)
}

/// Whether all static pods of an asset directory are in the kubelet's `folder`.
pub fn are_installed(assets: &Assets, folder: &Path) -> bool {
    let mut pods = assets.below(STATIC_MANIFESTS);
    pods.all(|(file, _)| folder.join(file).exists())
}

/// Makes the folder `base` hold exactly `secrets`, for the control plane's user alone (where we may give
/// files away), and returns the paths that changed.
pub fn place_secrets<'a>(
    base: &Path,
    secrets: impl Iterator<Item = (&'a str, &'a Asset)>,
) -> Result<Vec<String>> {
    own_folder(base)?;
    let old = tree::read(base, |_| CONTROL_PLANE_UID)?;
    let mut old: BTreeSet<_> = old.iter().map(|(path, _)| path).collect();
    let mut changed = Vec::new();
    for (path, asset) in secrets {
        let target = base.join(path);
        // The outermost first, each its own: a pod may see any of them.
        let folders: Vec<_> = (target.ancestors().skip(1))
            .take_while(|folder| *folder != base)
            .collect();
        folders.into_iter().rev().try_for_each(own_folder)?;
        let look = Look {
            mode: 0o600,
            owner: owner().map(|owner| (owner, owner)),
        };
        if files::write(&target, asset.bytes.expose(), look)? {
            changed.push(target.display().to_string());
        }
        old.remove(path);
    }
    for path in old {
        let path = base.join(path);
        files::remove(&path)?;
        changed.push(path.display().to_string());
    }
    Ok(changed)
}

/// Only root gives files away.
fn owner() -> Option<u32> {
    let is_root = nix::unistd::geteuid().is_root();
    is_root.then_some(CONTROL_PLANE_UID)
}

fn own_folder(folder: &Path) -> Result<()> {
    files::make_folder(folder, 0o700)?;
    chown(folder, owner(), owner())
        .with_context(|| format!("cannot give away the folder {}", folder.display()))
}
