//! A launched machine that a scenario leaves for the next one, because a launch takes minutes: the state disk,
//! and which pods its cluster had.
//!
//! Off, with all that a boot finds. The snapshot of a running machine was the road not taken: what reboots
//! are about is lost in it, and its memory is four times the disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::machine::Machine;
use crate::scenario::Context;
use crate::{cache, process};

/// How the machine went off.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// By `systemctl reboot`.
    Clean,
    /// QEMU was killed.
    Cut,
}

/// The pods by name, with their UIDs.
pub type Pods = BTreeMap<String, String>;

const DISK: &str = "var.img";
const PODS: &str = "pods.json";

/// Leaves a machine that is off.
pub fn leave(context: &Context, machine: &Machine, how: How, pods: &Pods) -> Result<()> {
    let folder = folder(context, how);
    cache::empty(&folder)?;
    fs::write(folder.join(PODS), serde_json::to_vec(pods)?)?;
    // The disk last: it says that all is there.
    fs::rename(&machine.spec.var, folder.join(DISK))
        .with_context(|| format!("cannot leave {}", machine.spec.var.display()))
}

/// Takes what an earlier scenario of this run has left, if one has.
pub fn take(context: &Context, how: How) -> Result<Option<(Machine, Pods)>> {
    let folder = folder(context, how);
    if !folder.join(DISK).exists() {
        return Ok(None);
    }
    let pods = read(&folder.join(PODS))?;
    let machine = Machine::with_disk(&context.image, &context.work, &folder.join(DISK))?;
    Ok(Some((machine, pods)))
}

/// As [`take`], of a copy: what becomes of it is not seen by whoever takes it.
pub fn copy(context: &Context, how: How) -> Result<Option<(Machine, Pods)>> {
    let folder = folder(context, how);
    if !folder.join(DISK).exists() {
        return Ok(None);
    }
    let pods = read(&folder.join(PODS))?;
    let disk = context.work.join("copy.img");
    let mut copy = Command::new("cp");
    copy.args(["--reflink=auto", "--sparse=always"]);
    process::output(copy.arg(folder.join(DISK)).arg(&disk)).context("cannot copy the disk")?;
    let machine = Machine::with_disk(&context.image, &context.work, &disk)?;
    Ok(Some((machine, pods)))
}

fn read(path: &Path) -> Result<Pods> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn folder(context: &Context, how: How) -> PathBuf {
    context.left.join(format!("{how:?}").to_lowercase())
}
