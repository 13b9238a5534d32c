//! The image's tree: the root file system with a node's programs and configuration in their places.

use super::{Inputs, list};
use crate::progress::Log;
use crate::{cache, install, process};
use anyhow::{Context, Result};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Binaries of the payload that run on the node itself.
const BINARIES: &[&str] = &["containerd", "containerd-shim-runc-v2", "ctr", "kubelet"];
/// Images that this repository makes, whose names a newer OS image may change.
const ARCHIVES: &[&str] = &["pause", "slipway"];

/// Makes `tree` the image's tree. dracut's modules and the kernel are still in it: [`strip`] takes
/// out what only the build needs.
pub fn assemble(inputs: &Inputs, tree: &Path, log: &Log) -> Result<()> {
    let repo = &inputs.repo;
    copy_rootfs(&inputs.rootfs, tree, log)?;
    install::into(repo, &inputs.slipway, tree)?;
    place_payload(&inputs.payload, tree)?;
    overlay(&repo.join("image/files"), tree)?;
    configure_units(repo, tree, log)?;
    // PID 1 makes an identity for an empty file; a missing one would count as a first boot, with
    // presets applied again on the node.
    write(&tree.join("etc/machine-id"), "")?;
    link(
        "../run/systemd/resolve/stub-resolv.conf",
        &tree.join("etc/resolv.conf"),
    )?;
    let modules = tree.join("usr/lib/dracut/modules.d");
    overlay(&repo.join("image/dracut"), &modules)
}

/// Takes out what the running image has no use for: the kernel's files and everything in /var, which
/// is another file system.
pub fn strip(tree: &Path) -> Result<()> {
    for folder in ["boot", "var", "tmp"] {
        cache::empty(&tree.join(folder))?;
    }
    let tmp = tree.join("tmp");
    fs::set_permissions(&tmp, Permissions::from_mode(0o1777))
        .with_context(|| format!("cannot set the mode of {}", tmp.display()))?;
    for name in [
        "initrd.img",
        "initrd.img.old",
        "vmlinuz",
        "vmlinuz.old",
        "etc/hostname",
    ] {
        remove(&tree.join(name))?;
    }
    Ok(())
}

fn copy_rootfs(rootfs: &Path, tree: &Path, log: &Log) -> Result<()> {
    cache::empty(tree)?;
    let mut copy = Command::new("cp");
    copy.args(["--archive", "--reflink=auto"])
        .arg(rootfs.join("."))
        .arg(tree);
    process::run(&mut copy, log).context("cannot copy the root file system")
}

/// A copy of a tree that shares its files: one must be replaced, never written to.
pub fn linked(tree: &Path, to: &Path, log: &Log) -> Result<()> {
    cache::empty(to)?;
    let mut copy = Command::new("cp");
    copy.args(["--archive", "--link"])
        .arg(tree.join("."))
        .arg(to);
    process::run(&mut copy, log).with_context(|| format!("cannot copy {}", tree.display()))
}

/// A copy of the finished tree whose os-release has another BUILD_ID.
pub fn copy_of(tree: &Path, to: &Path, build_id: &str, log: &Log) -> Result<()> {
    linked(tree, to, log)?;
    let path = to.join("usr/lib/os-release");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // Both trees share the file: a new one takes its place.
    remove(&path)?;
    write(
        &path,
        &format!("{}\nBUILD_ID={build_id}\n", text.trim_end()),
    )
}

/// What of the payload goes into the tree.
pub fn payload_files(payload: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<_> = BINARIES
        .iter()
        .map(|name| payload.join("bin").join(name))
        .collect();
    files.extend(cache::files_below(&payload.join("cni"))?);
    files.extend(archives(payload)?.into_iter().map(|(_, archive)| archive));
    Ok(files)
}

fn place_payload(payload: &Path, tree: &Path) -> Result<()> {
    for binary in BINARIES {
        copy(
            &payload.join("bin").join(binary),
            &tree.join("usr/bin").join(binary),
            0o755,
        )?;
    }
    for plugin in cache::files_below(&payload.join("cni"))? {
        let name = plugin.file_name().unwrap_or_default();
        copy(&plugin, &tree.join("opt/cni/bin").join(name), 0o755)?;
    }
    for (name, archive) in archives(payload)? {
        copy(
            &archive,
            &tree.join("usr/share/container-images").join(name),
            0o644,
        )?;
    }
    Ok(())
}

/// Archives that image-import brings to a state disk which lacks them, by the name that also is its
/// stamp: `NAME-DIGEST.tar`.
pub fn archives(payload: &Path) -> Result<Vec<(String, PathBuf)>> {
    ARCHIVES
        .iter()
        .map(|name| {
            let path = payload.join(format!("images/{name}.tar"));
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let key = cache::Key::new("image").add(name, &bytes).finish();
            Ok((format!("{name}-{key}.tar"), path))
        })
        .collect()
}

/// Copies every file below `from` to the same path below `to`, with its permissions.
fn overlay(from: &Path, to: &Path) -> Result<()> {
    for file in cache::files_below(from)? {
        let mode = fs::metadata(&file).map_or(0o644, |meta| meta.permissions().mode() & 0o755);
        copy(&file, &to.join(file.strip_prefix(from)?), mode)?;
    }
    Ok(())
}

/// Debian enables what it installs; this image starts only what its preset names.
fn configure_units(repo: &Path, tree: &Path, log: &Log) -> Result<()> {
    let units = tree.join("etc/systemd/system");
    for unit in list(&repo.join("image/masks.list"))? {
        link("/dev/null", &units.join(unit))?;
    }
    let kept = list(&repo.join("image/generators.list"))?;
    for generator in cache::files_below(&tree.join("usr/lib/systemd/system-generators"))? {
        let name = generator
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !kept.contains(&name) {
            link(
                "/dev/null",
                &tree.join("etc/systemd/system-generators").join(name),
            )?;
        }
    }
    // The tree's own systemctl: the host's may be older than the units, or not there.
    let mut preset = Command::new("chroot");
    preset
        .arg(tree)
        .args(["systemctl", "--preset-mode=full", "preset-all"]);
    process::run(&mut preset, log).context("cannot enable the image's units")?;
    link(
        "/usr/lib/systemd/system/multi-user.target",
        &units.join("default.target"),
    )
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let shown = || format!("cannot copy {} to {}", from.display(), to.display());
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(shown)?;
    }
    fs::copy(from, to).with_context(shown)?;
    fs::set_permissions(to, Permissions::from_mode(mode)).with_context(shown)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn link(target: &str, at: &Path) -> Result<()> {
    remove(at)?;
    if let Some(folder) = at.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    symlink(target, at).with_context(|| format!("cannot link {}", at.display()))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway::render::images;

    #[test]
    fn containerd_pins_the_sandbox_image_that_is_built() {
        let config = crate::repo().join("image/files/etc/containerd/config.toml");
        let text = fs::read_to_string(config).unwrap();
        assert!(
            text.contains(&format!("sandbox = \"{}\"", images::PAUSE)),
            "{text}"
        );
    }
}
