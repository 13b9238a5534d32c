//! A new ext4 to write into.
//!
//! ext4 gives the number of a file that was deleted in the last minutes to no other one, and looks at each of
//! those first (`recently_deleted` in fs/ext4/ialloc.c). Where a bench had cleared up before, every new file
//! cost several times as much as on a machine that starts, so each one gets a file system without a past.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{cache, process};

/// Holes cost nothing: only what is written takes room.
const BYTES: u64 = 512 * 1024 * 1024;

/// Mounted as long as it lives.
pub struct Disk(PathBuf);

impl Disk {
    /// Makes one in `work`, in place of all that was there.
    pub fn new(work: &Path) -> Result<Self> {
        let (image, folder) = (work.join("disk.img"), work.join("disk"));
        // One that a killed bench left; as a rule there is none.
        drop(Self(folder.clone()));
        cache::empty(work)?;
        File::create(&image)?.set_len(BYTES)?;
        fs::create_dir(&folder)?;
        process::output(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        let mut mount = Command::new("mount");
        process::output(mount.args(["-o", "loop"]).args([&image, &folder]))
            .context("cannot mount a new ext4")?;
        Ok(Self(folder))
    }

    /// Where it is mounted.
    pub fn folder(&self) -> &Path {
        &self.0
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Best effort: what was measured is good all the same.
        let _ = process::output(Command::new("umount").arg(&self.0));
    }
}
