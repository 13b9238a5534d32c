//! The initrds, made by the image's own dracut: one with slipway's module, one without.
//!
//! The second exists to measure what slipway adds; it boots nothing. Both are left uncompressed:
//! QEMU loads them from the host's page cache, and unpacking costs the guest more than reading.

use crate::process;
use crate::progress::Log;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// systemd alone, no shell and none of dracut's hooks: half the size and half the time to boot.
const MODULES: &str = "systemd systemd-initrd systemd-journald systemd-modules-load \
    systemd-tmpfiles systemd-udevd udev-rules kernel-modules image-state";
/// What the root and state disks need, and the controllers that discs with metadata hang on: with a list,
/// kernel-modules brings these and no others.
const DRIVERS: &str = "virtio_blk virtio_scsi virtio_net erofs overlay ata_piix ahci hv_storvsc";

/// Runs "$@" in the tree with the kernel's file systems bound in; unshare keeps them out of sight.
const IN_TREE: &str = r#"set -e; tree=$1; shift
for fs in proc sys dev; do mount --rbind "/$fs" "$tree/$fs"; done
mount -t tmpfs tmpfs "$tree/tmp"
chroot "$tree" "$@"
cp "$tree/tmp/initrd" "$tree/.initrd""#;

/// Makes the initrd at `to`, with slipway's module if `with_slipway`.
pub fn build(tree: &Path, to: &Path, with_slipway: bool, log: &Log) -> Result<()> {
    let modules = if with_slipway {
        format!("{MODULES} slipway slipway-network")
    } else {
        MODULES.to_owned()
    };
    let mut command = dracut(tree);
    command
        .args(["--modules", &modules, "--drivers", DRIVERS])
        .args(["--kver", &kernel_release(tree)?, "/tmp/initrd"]);
    process::run(&mut command, log).context("dracut failed")?;
    let made = tree.join(".initrd");
    fs::copy(&made, to).with_context(|| format!("cannot write {}", to.display()))?;
    fs::remove_file(&made).with_context(|| format!("cannot remove {}", made.display()))
}

/// The names of what an initrd of a tree holds, without a kernel's modules: with these of dracut's modules, or
/// with those that dracut chooses by itself. The error has dracut's own words.
pub fn names(tree: &Path, modules: Option<&str>) -> Result<Vec<String>> {
    let mut command = dracut(tree);
    if let Some(modules) = modules {
        command.args(["--modules", modules]);
    }
    process::output(command.args(["--no-kernel", "/tmp/initrd"])).context("dracut failed")?;
    let made = tree.join(".initrd");
    let listed = process::output(
        Command::new("cpio")
            .args(["-t", "--quiet", "-F"])
            .arg(&made),
    )?;
    fs::remove_file(&made).with_context(|| format!("cannot remove {}", made.display()))?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// dracut in the tree; what it makes at /tmp/initrd ends up at `.initrd` of the tree.
fn dracut(tree: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "--"])
        .args(["sh", "-c", IN_TREE, "sh"])
        .arg(tree)
        .args(["dracut", "--force", "--reproducible", "--no-compress"])
        .args(["--no-hostonly", "--no-hostonly-cmdline"])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// The release of the one kernel in the tree, e.g. `6.12.117+deb13-cloud-amd64`.
pub fn kernel_release(tree: &Path) -> Result<String> {
    let folder = tree.join("usr/lib/modules");
    let mut entries =
        fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let entry = entries
        .next()
        .context("the root file system has no kernel")??;
    Ok(entry.file_name().to_string_lossy().into_owned())
}
