//! Mounts, with errors that say what was to be mounted where.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// No options beside the type.
pub const PLAIN: MsFlags = MsFlags::empty();

/// Mounts a new file system of `kind` on `target`, making that folder if need be.
pub fn fresh(kind: &str, target: &Path, flags: MsFlags, options: Option<&str>) -> Result<()> {
    fs::create_dir_all(target)?;
    mount(Some(kind), target, Some(kind), flags, options)
        .with_context(|| format!("cannot mount {kind} on {}", target.display()))
}

/// Shows `source`, a folder or a file, at `target`, which is made if need be; with what is mounted
/// below it.
pub fn bind(source: &Path, target: &Path) -> Result<()> {
    let what = || format!("cannot bind {} on {}", source.display(), target.display());
    make_like(source, target).with_context(what)?;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(source), target, None::<&str>, flags, None::<&str>).with_context(what)
}

/// Like [`bind`], and nobody writes through `target`.
pub fn bind_read_only(source: &Path, target: &Path) -> Result<()> {
    bind(source, target)?;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("cannot make {} read-only", target.display()))
}

/// Gives this process mounts of its own: what it mounts from here on, only it and its children see, and it goes
/// with the last of them.
pub fn apart() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace; are you root?")?;
    propagate(MsFlags::MS_PRIVATE)
}

/// Changes how all mounts of this namespace propagate, e.g. `MS_PRIVATE`.
pub fn propagate(how: MsFlags) -> Result<()> {
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        how | MsFlags::MS_REC,
        None::<&str>,
    )
    .context("cannot change the propagation of /")
}

/// An overlay: `lower` as it is, changes in `upper`.
pub fn overlay(lower: &Path, upper: &Path, work: &Path, target: &Path) -> Result<()> {
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    fs::create_dir_all(upper)?;
    fs::create_dir_all(work)?;
    fresh("overlay", target, PLAIN, Some(&options))
}

fn make_like(source: &Path, target: &Path) -> Result<()> {
    if fs::metadata(source)?.is_dir() {
        return Ok(fs::create_dir_all(target)?);
    }
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    if !target.exists() {
        fs::write(target, "")?;
    }
    Ok(())
}
