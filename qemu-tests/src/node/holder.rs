//! The holder: the process that keeps a node's disk.
//!
//! It has a mount namespace of its own with a tmpfs in it, which holds everything the node writes:
//! the overlay's upper folder (/etc, /usr) and /var/lib. Lives of the node come and go on top; the
//! disk goes when the holder ends, which it does when its standard input closes, that is, when the
//! harness drops the node or dies in whatever way. Nothing is left on the host's disk or in its
//! mount table, so there is nothing that a crashed run could leave behind.

use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::cgroup::Cgroups;
use super::{mounts, store};

/// The word that a holder prints when its disk is there.
pub const READY: &str = "ready";

/// What a holder is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Disk {
    /// An empty folder of the host; inside the namespace the tmpfs lies there.
    pub mountpoint: PathBuf,
    /// The operating system: a folder that is never written to.
    pub lower: PathBuf,
    /// What containerd's folder starts with, if it is there: the unpacked images.
    pub store: PathBuf,
    /// The node's groups, removed at the end.
    pub cgroups: Cgroups,
}

impl Disk {
    /// The node's root folder, seen from inside the holder's mount namespace.
    pub fn root(&self) -> PathBuf {
        self.mountpoint.join("root")
    }
}

/// Runs the holder until its standard input closes.
pub fn run(disk: &Disk) -> Result<()> {
    mounts::apart()?;
    make(disk)?;
    let mut out = std::io::stdout();
    writeln!(out, "{READY}").and_then(|()| out.flush())?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    disk.cgroups.remove()
}

fn make(disk: &Disk) -> Result<()> {
    let tmpfs = &disk.mountpoint;
    mounts::fresh("tmpfs", tmpfs, mounts::PLAIN, Some("size=8g,mode=755"))?;
    let root = disk.root();
    mounts::overlay(
        &disk.lower,
        &tmpfs.join("upper"),
        &tmpfs.join("work"),
        &root,
    )?;
    // containerd's overlays need an upper folder that is not itself on an overlay.
    let var_lib = tmpfs.join("var-lib");
    std::fs::create_dir_all(&var_lib)?;
    mounts::bind(&var_lib, &root.join("var/lib"))?;
    if disk.store.exists() {
        store::furnish(&disk.store, &root.join("var/lib/containerd"))?;
    }
    Ok(())
}
