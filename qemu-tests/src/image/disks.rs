//! The disks: the read-only root and the node's state.

use super::tree;
use crate::progress::Log;
use crate::{cache, process};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The root's file system UUID: a constant, so that equal trees give equal bytes.
const ROOT_UUID: &str = "5d1b2a3e-0c6f-4b7e-9a55-8d3c0f6e2b11";
/// The label that the initrd mounts as /var.
const VAR_LABEL: &str = "slipway-var";
/// The state disk's size: sparse, so that only what is written takes space on the host.
const VAR_BYTES: u64 = 8 << 30;

/// The tree as a read-only file system. Uncompressed, because a machine under emulation decompresses
/// slower than its disk reads.
pub fn root(tree: &Path, to: &Path, log: &Log) -> Result<()> {
    let mut command = Command::new("mkfs.erofs");
    // Times and UUID are fixed: equal trees give equal bytes.
    command
        .args(["-T0", "-U", ROOT_UUID, "--quiet"])
        .arg(to)
        .arg(tree);
    process::run(&mut command, log).context("cannot make the root disk")
}

/// The state disk of a first boot: every container image is in containerd's store, unpacked.
pub fn var(payload: &Path, to: &Path, log: &Log) -> Result<()> {
    let stage = to.with_extension("stage");
    cache::empty(&stage)?;
    fs::create_dir_all(stage.join("lib/image-import")).context("cannot fill the state disk")?;
    for (name, _) in tree::archives(payload)? {
        fs::write(stage.join("lib/image-import").join(name), "")
            .context("cannot fill the state disk")?;
    }
    // Hard links: the store is a gigabyte and a half, and is only read here.
    let mut copy = Command::new("cp");
    copy.args(["--archive", "--link"])
        .arg(payload.join("store/."))
        .arg(stage.join("lib/containerd"));
    process::run(&mut copy, log).context("cannot fill the state disk")?;
    make_ext4(&stage, to, log)?;
    fs::remove_dir_all(&stage).with_context(|| format!("cannot remove {}", stage.display()))
}

fn make_ext4(stage: &Path, to: &Path, log: &Log) -> Result<()> {
    let file = fs::File::create(to).with_context(|| format!("cannot create {}", to.display()))?;
    file.set_len(VAR_BYTES)
        .with_context(|| format!("cannot size {}", to.display()))?;
    let mut command = Command::new("mke2fs");
    command
        .args(["-q", "-t", "ext4", "-L", VAR_LABEL, "-m", "0"])
        .args([
            "-E",
            "lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0",
            "-d",
        ])
        .arg(stage)
        .arg(to);
    process::run(&mut command, log).context("cannot make the state disk")
}
