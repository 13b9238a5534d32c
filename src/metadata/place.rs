//! Files, folders and links of an envelope, written below the target.
//!
//! Everything is judged by its name before anything is written. A link on the way, of the target or of the
//! envelope itself, may make another place of that name: so the kernel resolves every folder beneath the
//! target (openat2), and where it really is is judged once more. The folder is then held, so that
//! nothing can change between the look and the write.

mod owner;
mod target;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use super::envelope::{DOCUMENT, Entry, What};
use super::keep;
use crate::exit::{Exit, WithExit, fail};
use crate::node::files::{self, Look};

use owner::Names;
use target::{Held, Target};

/// Where an envelope may write: what an immutable OS keeps for its owner.
const ROOTS: [&str; 6] = ["/etc", "/var", "/opt", "/srv", "/home", "/root"];
/// Ours: what is kept there decides what the machine is. On the way to it there are only folders.
const RESERVED: &str = "/var/lib/slipway";
/// An envelope's file keeps what was there before, up to this size, when it appends.
const MAX_APPENDED: u64 = 16 * 1024 * 1024;

/// What to do about something else that stands where an entry may not overwrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The machine is new: it is an error of the image or of the envelope.
    Fail,
    /// The machine has lived with the envelope's entries: it stays, with a warning.
    Leave,
}

/// Writes `entries` below `target`. What is right already is left alone, so that an interrupted
/// fetch can be run again.
///
/// # Errors
/// [`Exit::Invalid`] with every entry that may not be written, and then none is; else what failed.
pub fn place(target: &Path, entries: &[Entry], conflict: Conflict) -> Result<()> {
    let problems: Vec<_> = entries.iter().filter_map(judge).collect();
    if !problems.is_empty() {
        let error = anyhow!(
            "the envelope must not write there:\n{}",
            problems.join("\n")
        );
        return Err(fail(Exit::Invalid, error));
    }
    if entries.is_empty() {
        return Ok(());
    }
    let names = Names::read(target)?;
    let place = Target::open(target)?;
    for entry in entries {
        put(&place, &names, entry, conflict).map_err(|error| {
            let advice = keep::advice(&error, &files::below(target, &entry.path));
            error.context(advice)
        })?;
    }
    Ok(())
}

/// Why an entry may not be written, if so.
fn judge(entry: &Entry) -> Option<String> {
    let path = &entry.path;
    let why = match &entry.what {
        What::Link {
            target,
            hard: false,
        } => leads_out(path, target)
            .then(|| format!("it would link to {target:?}, outside the root")),
        What::Link { target, hard: true } => {
            forbidden(target, false).map(|why| format!("it would link to {target:?}: {why}"))
        }
        _ => None,
    };
    let why = forbidden(path, entry.what == What::Folder).or(why)?;
    Some(format!("{path:?}: {why}"))
}

/// Why nothing, or nothing but a folder, may be written at a path.
fn forbidden(path: &str, folder: bool) -> Option<String> {
    let is_in = |path: &str, root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    let within = |root| is_in(path, root);
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    let rest = path.strip_prefix('/').unwrap_or_default();
    if !rest.split('/').all(plain) {
        Some("it is not a plain absolute path".to_owned())
    } else if within(RESERVED) || path == RESERVED || path == DOCUMENT {
        Some("it is slipway's own".to_owned())
    } else if !folder && is_in(RESERVED, path) {
        Some("slipway's own folder is below it".to_owned())
    } else if !ROOTS.iter().any(|root| within(root)) {
        Some(format!("only {} may be written", ROOTS.join(", ")))
    } else {
        None
    }
}

/// Whether a symbolic link at `path` to `target` names something above the root.
fn leads_out(path: &str, target: &str) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let base = if target.starts_with('/') { "" } else { folder };
    let mut depth = 0_i32;
    let parts = base.split('/').chain(target.split('/'));
    target.is_empty()
        || parts.filter(|part| !matches!(*part, "" | ".")).any(|part| {
            depth += if part == ".." { -1 } else { 1 };
            depth < 0
        })
}

fn put(place: &Target, names: &Names, entry: &Entry, conflict: Conflict) -> Result<()> {
    let owner = names.owner(entry).exit(Exit::Invalid)?;
    let is_folder = entry.what == What::Folder;
    let at = place.hold(&entry.path, |path| forbidden(path, is_folder))?;
    let again = conflict == Conflict::Leave;
    if again && !is_folder && !entry.overwrite && at.look()?.is_some() {
        return left(&at, entry);
    }
    let look = |mode: u32| Look {
        mode: entry.mode.unwrap_or(mode),
        owner,
    };
    match &entry.what {
        What::File(bytes) => file(&at, bytes.expose(), entry, look(0o644)),
        What::Append(bytes) => append(&at, bytes.expose(), entry, &look),
        What::Folder => folder(&at, owner, entry.mode),
        What::Link {
            target,
            hard: false,
        } => link(
            &at,
            entry,
            |there| there == Path::new(target),
            |at| symlink(target, at),
        ),
        What::Link { target, hard: true } => {
            let other = place.hold(target, |path| forbidden(path, false))?;
            let same = same_file(&other.path(), &at.path());
            link(&at, entry, |_| same, |at| fs::hard_link(other.path(), at))
        }
    }
}

fn file(at: &Held, bytes: &[u8], entry: &Entry, look: Look) -> Result<()> {
    if let Some(there) = at.look()? {
        let same = there.is_file() && fs::read(at.path()).is_ok_and(|old| old == bytes);
        if there.is_dir() || !(there.is_file() || there.is_symlink()) {
            bail!(
                "{} is something else than a file; remove it first",
                entry.path
            );
        } else if !same && !entry.overwrite {
            bail!(exists(entry));
        }
    }
    files::write(&at.path(), bytes, look).map(drop)
}

/// Says so if what stands there is not what the entry would have made of it.
fn left(at: &Held, entry: &Entry) -> Result<()> {
    let there = || fs::read(at.path()).unwrap_or_default();
    let same = match &entry.what {
        What::File(bytes) => there() == bytes.expose(),
        What::Append(bytes) => contains(&there(), bytes.expose()),
        What::Folder | What::Link { .. } => true,
    };
    if !same {
        let path = &entry.path;
        log::warn!("{path} is left as it is: the envelope has another, but does not say overwrite");
    }
    Ok(())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

/// Appends; mode and owner of a file that is there stay, unless the entry gives them.
fn append(at: &Held, bytes: &[u8], entry: &Entry, look: &dyn Fn(u32) -> Look) -> Result<()> {
    let (mut all, mode, owner) = match at.look()? {
        None => (Vec::new(), 0o644, None),
        Some(there) if there.is_file() && there.len() <= MAX_APPENDED => (
            fs::read(at.path()).context("cannot read it")?,
            there.mode() & 0o7777,
            Some((there.uid(), there.gid())),
        ),
        Some(_) => bail!("{} is something that cannot be appended to", entry.path),
    };
    if !all.ends_with(bytes) {
        all.extend(bytes);
    }
    let look = look(mode);
    let owner = look.owner.or(owner);
    files::write(&at.path(), &all, Look { owner, ..look }).map(drop)
}

/// Makes a folder. Mode and owner of one that is there stay, unless they are given.
fn folder(at: &Held, owner: Option<(u32, u32)>, mode: Option<u32>) -> Result<()> {
    let is_new = match at.look()? {
        None => fs::create_dir(at.path()).map(|()| true),
        Some(there) if there.is_dir() => Ok(false),
        Some(_) => bail!("something else than a folder is there; remove it first"),
    };
    let is_new = is_new.context("cannot make the folder")?;
    let (user, group) = owner.unzip();
    chown(at.path(), user, group).context("cannot change its owner")?;
    if let Some(mode) = mode.or(is_new.then_some(0o755)) {
        fs::set_permissions(at.path(), Permissions::from_mode(mode))
            .context("cannot change its mode")?;
    }
    at.sync()
}

/// Makes a link, unless what is there `fits`.
fn link(
    at: &Held,
    entry: &Entry,
    fits: impl Fn(&Path) -> bool,
    make: impl Fn(&PathBuf) -> std::io::Result<()>,
) -> Result<()> {
    let there = fs::read_link(at.path()).unwrap_or_default();
    match at.look()? {
        Some(_) if fits(&there) => return Ok(()),
        Some(old) if old.is_dir() || !entry.overwrite => bail!(exists(entry)),
        Some(_) => drop(files::remove(&at.path())?),
        None => {}
    }
    make(&at.path()).context("cannot make the link")?;
    at.sync()
}

fn same_file(a: &Path, b: &Path) -> bool {
    let id = |path| fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()));
    match (id(a), id(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

fn exists(entry: &Entry) -> String {
    format!(
        "{} is there already, and the envelope does not say overwrite",
        entry.path
    )
}

#[cfg(test)]
mod tests;
