//! A new ext4 to write into.
//!
//! ext4 gives the number of a file that was deleted in the last minutes to no other one, and looks at each of
//! those first (`recently_deleted` in fs/ext4/ialloc.c). Where a bench had cleared up before, every new file
//! cost several times as much as on a machine that starts, so each one gets a file system without a past.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::node::mounts;
use crate::process;

/// Holes cost nothing: only what is written takes room.
const BYTES: u64 = 512 * 1024 * 1024;

/// Makes one below `work` and returns where it is mounted. It goes with this process, however that ends.
pub fn mount(work: &Path) -> Result<PathBuf> {
    let (image, folder) = (work.join("disk.img"), work.join("disk"));
    File::create(&image)?.set_len(BYTES)?;
    fs::create_dir(&folder)?;
    process::output(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
    mounts::apart()?;
    let mut mount = Command::new("mount");
    process::output(mount.args(["-o", "loop"]).args([&image, &folder]))
        .context("cannot mount a new ext4")?;
    Ok(folder)
}
