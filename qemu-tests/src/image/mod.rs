//! The OS image: Debian, a node's programs, slipway as `./x install` puts it, and the state disk.
//!
//! Plain tools in a plain directory: mmdebstrap, dracut in a chroot, mkfs.erofs, mke2fs -d. Outputs are
//! kept with a key of everything that went into them, so that a change of slipway repeats the seconds
//! that depend on it and not the minutes that do not.

mod apt;
mod disks;
mod initrd;
mod kernel;
mod rootfs;
mod tree;

use crate::progress::{self, Log};
use crate::{build, cache, install, payload, prereq};
use anyhow::{Context, Result};
pub use initrd::names as initrd_names;
pub use rootfs::rootfs;
use std::fs;
use std::path::{Path, PathBuf};
pub use tree::linked;

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The repository, for image/, dracut/ and systemd/.
    pub repo: PathBuf,
    /// Debian's packages.
    pub rootfs: PathBuf,
    /// `target/payload`: binaries, image archives and the store.
    pub payload: PathBuf,
    /// The static binary.
    pub slipway: PathBuf,
}

/// `target/image`, up to date: root.erofs, vmlinuz, initrd.img, initrd-base.img (without slipway's
/// module), var.img (the state disk of a first boot).
pub fn ensure(repo: &Path) -> Result<PathBuf> {
    prereq::image()?;
    let inputs = Inputs {
        repo: repo.to_path_buf(),
        rootfs: rootfs(repo)?,
        payload: payload::ensure(repo)?,
        slipway: build::slipway(repo)?,
    };
    let image = repo.join("target/image");
    fresh(&image, "system", &system_key(&inputs)?, |log| {
        system(&inputs, &image, log)
    })?;
    fresh(&image, "state disk", &state_key(&inputs)?, |log| {
        disks::var(&inputs.payload, &image.join("var.img"), log)
    })?;
    Ok(image)
}

/// The root disk of the same image with another BUILD_ID in its os-release, at `to`: what a node gets
/// when its image is replaced.
pub fn rebuilt(image: &Path, build_id: &str, to: &Path) -> Result<()> {
    progress::step("root disk of another build", |log| {
        let tree = image.join("tree");
        let copy = to.with_extension("tree");
        tree::copy_of(&tree, &copy, build_id, log)?;
        disks::root(&copy, to, log)?;
        fs::remove_dir_all(&copy).with_context(|| format!("cannot remove {}", copy.display()))
    })
}

/// Runs `build` unless its outputs were made for the same key before.
fn fresh(
    image: &Path,
    name: &str,
    key: &str,
    build: impl FnOnce(&Log) -> Result<()>,
) -> Result<()> {
    let stamp = image.join(format!("{}.key", name.replace(' ', "-")));
    if fs::read_to_string(&stamp).is_ok_and(|built| built == key) {
        return Ok(());
    }
    // Gone while the outputs change: what an interrupted build leaves is never taken for whole.
    let _ = fs::remove_file(&stamp);
    progress::step(&format!("image: {name}"), build)?;
    fs::write(&stamp, key).with_context(|| format!("cannot write {}", stamp.display()))
}

fn system(inputs: &Inputs, image: &Path, log: &Log) -> Result<()> {
    let tree = image.join("tree");
    tree::assemble(inputs, &tree, log)?;
    initrd::build(&tree, &image.join("initrd.img"), true, log)?;
    initrd::build(&tree, &image.join("initrd-base.img"), false, log)?;
    let release = initrd::kernel_release(&tree)?;
    let bzimage = tree.join(format!("boot/vmlinuz-{release}"));
    kernel::unpack(&bzimage, &image.join("vmlinuz"), log)?;
    tree::strip(&tree)?;
    disks::root(&tree, &image.join("root.erofs"), log)
}

fn system_key(inputs: &Inputs) -> Result<String> {
    let rootfs = cache::identity(&inputs.rootfs)?;
    let mut key = cache::Key::new("system 1")
        .add("rootfs", rootfs.as_bytes())
        .add("built", install::built(&inputs.repo)?.as_bytes());
    for folder in ["image/files", "image/dracut", "dracut", "systemd"] {
        key = key.add(folder, b"").add_tree(&inputs.repo.join(folder))?;
    }
    for file in ["image/masks.list", "image/generators.list"] {
        key = add_file(key, &inputs.repo.join(file))?;
    }
    for file in tree::payload_files(&inputs.payload)? {
        key = add_file(key, &file)?;
    }
    Ok(add_file(key, &inputs.slipway)?.finish())
}

fn state_key(inputs: &Inputs) -> Result<String> {
    let store = cache::identity(&inputs.payload.join("store"))?;
    Ok(cache::Key::new("state 1")
        .add("store", store.as_bytes())
        .finish())
}

fn add_file(key: cache::Key, path: &Path) -> Result<cache::Key> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(key.add(&path.to_string_lossy(), &bytes))
}

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
