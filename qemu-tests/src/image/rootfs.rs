//! Debian's part of the image: a root file system of packages, made once and cached.
//!
//! Nothing of slipway is in it, so it changes only with its recipe; the node tier mounts it read-only
//! as the lower layer of its nodes. mmdebstrap in a plain directory needs no loop device, no
//! namespace and no virtual machine; mkosi would bring all three and a newer systemd on the host.

use super::{apt, list};
use crate::{cache, process, progress};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Debian release of the image.
const RELEASE: &str = "trixie";

/// Options beside the package list; part of the cache key.
const OPTIONS: &[&str] = &[
    "--mode=root",
    "--variant=minbase",
    "--format=directory",
    "--components=main",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=force-unsafe-io",
    "--aptopt=Apt::Install-Recommends \"false\"",
    "--aptopt=Acquire::Languages \"none\"",
];

/// `target/image/rootfs`, a link to the cached tree. Built for the recipe, not for the day: package
/// updates come in when the recipe changes or the cache is cleared.
pub fn rootfs(repo: &Path) -> Result<PathBuf> {
    let packages = list(&repo.join("image/packages.list"))?.join(",");
    let key = cache::Key::new(RELEASE)
        .add("options", OPTIONS.join(" ").as_bytes())
        .add("packages", packages.as_bytes())
        .finish();
    let entry = cache::entry("rootfs", &key, |tree| {
        progress::step("root file system", |log| bootstrap(&packages, tree, log))
    })?;
    let link = repo.join("target/image/rootfs");
    cache::point(&link, &entry)?;
    Ok(link)
}

fn bootstrap(packages: &str, tree: &Path, log: &progress::Log) -> Result<()> {
    let mut command = Command::new("mmdebstrap");
    command
        .args(OPTIONS)
        .arg(format!("--include={packages}"))
        .arg(RELEASE)
        .arg(tree)
        .args(apt::sources(RELEASE)?)
        // The kernel's post-install script would make an initrd of its own; ours is made later.
        .env("INITRD", "No")
        .env("TMPDIR", "/var/tmp");
    process::run(&mut command, log).context("cannot make the root file system")
}
