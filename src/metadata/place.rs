//! Files, folders and links of an envelope, written below the target.
//!
//! Everything is judged before anything is written, so that a machine gets an envelope or nothing of it.
//! A link on the way, of the target or of the envelope itself, may make another place of a name: so the
//! kernel resolves every folder beneath the target (openat2), and where it really is is judged too. For
//! the write the folder is held, so that nothing can change between the look and the write.

mod judge;
mod owner;
mod target;

use std::fs::{self, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use anyhow::{Context, Result};

use super::envelope::{Entry, What, contains};
use super::keep;
use crate::exit::{Exit, WithExit};
use crate::node::files::{self, Look};

use judge::forbidden;
pub use judge::names as judge_names;
use owner::{Names, Owner};
use target::{Held, Target};

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
/// All entries that may not or could not be written, and then none is; else what failed. What lies
/// behind a link of the envelope's own is judged when the link is there.
pub fn place(target: &Path, entries: &[Entry], conflict: Conflict) -> Result<()> {
    judge::names(entries)?;
    if entries.is_empty() {
        return Ok(());
    }
    let names = Names::read(target)?;
    let place = Target::open(target)?;
    judge::entries(&place, &names, entries, conflict)?;
    for entry in entries {
        put(&place, &names, entry, conflict).map_err(|error| {
            let advice = keep::advice(&error, &files::below(target, &entry.path));
            error.context(advice)
        })?;
    }
    Ok(())
}

/// Whether an entry leaves what is there, whatever it is.
fn stays(entry: &Entry, conflict: Conflict) -> bool {
    conflict == Conflict::Leave && entry.what != What::Folder && !entry.overwrite
}

fn put(place: &Target, names: &Names, entry: &Entry, conflict: Conflict) -> Result<()> {
    let owner = names.owner(entry).exit(Exit::Invalid)?;
    let is_folder = entry.what == What::Folder;
    let at = place.hold(&entry.path, |path| forbidden(path, is_folder))?;
    if stays(entry, conflict) && at.look()?.is_some() {
        return left(&at, entry);
    }
    judge::free(place, &at, entry)?;
    match &entry.what {
        What::File(bytes) => {
            let there = at.look()?.filter(Metadata::is_file);
            let look = Look {
                mode: entry.mode.unwrap_or(0o644),
                owner: owner.with(there.as_ref()),
            };
            files::write(&at.path(), bytes.expose(), look).map(drop)
        }
        What::Append(bytes) => append(&at, bytes.expose(), conflict, owner, entry.mode),
        What::Folder => folder(&at, owner, entry.mode),
        What::Link { target, hard } => link(place, &at, target, *hard, owner),
    }
}

/// Says so if what stands there is not what the entry would have made of it.
fn left(at: &Held, entry: &Entry) -> Result<()> {
    let same = match &entry.what {
        What::File(bytes) => at.holds(bytes.expose())?,
        What::Append(bytes) => {
            let there = at.read(MAX_APPENDED)?;
            there.is_some_and(|there| contains(&there, bytes.expose()))
        }
        What::Folder | What::Link { .. } => true,
    };
    if !same {
        let path = &entry.path;
        log::warn!("{path} is left as it is: the envelope has another, but does not say overwrite");
    }
    Ok(())
}

/// Appends; mode and owner of a file that is there stay, unless the entry gives them. To a machine that
/// has lived with the bytes others may have been appended after them.
fn append(
    at: &Held,
    bytes: &[u8],
    conflict: Conflict,
    owner: Owner,
    mode: Option<u32>,
) -> Result<()> {
    let there = at.look()?;
    let mut all = match &there {
        None => Vec::new(),
        Some(_) => at.read(MAX_APPENDED)?.context("it is no file any more")?,
    };
    let is_done = match conflict {
        Conflict::Fail => all.ends_with(bytes),
        Conflict::Leave => contains(&all, bytes),
    };
    if !is_done {
        all.extend(bytes);
    }
    let there = there.as_ref();
    let kept = there.map(|there| (there.uid(), there.gid()));
    let look = Look {
        mode: mode.unwrap_or(there.map_or(0o644, |there| there.mode() & 0o7777)),
        owner: owner.with(there).or(kept),
    };
    files::write(&at.path(), &all, look).map(drop)
}

/// Makes a folder. Mode and owner of one that is there stay, unless they are given.
fn folder(at: &Held, owner: Owner, mode: Option<u32>) -> Result<()> {
    let is_new = at.look()?.is_none();
    if is_new {
        fs::create_dir(at.path()).context("cannot make the folder")?;
    }
    chown(at.path(), owner.user, owner.group).context("cannot change its owner")?;
    if let Some(mode) = mode.or(is_new.then_some(0o755)) {
        fs::set_permissions(at.path(), Permissions::from_mode(mode))
            .context("cannot change its mode")?;
    }
    at.sync()
}

/// Makes a link, unless it is there. A symbolic one has an owner of its own.
fn link(place: &Target, at: &Held, target: &str, hard: bool, owner: Owner) -> Result<()> {
    if !judge::is_link(place, at, target, hard)? {
        if at.look()?.is_some() {
            files::remove(&at.path())?;
        }
        let made = match hard {
            false => symlink(target, at.path()),
            true => {
                let other = place.find(target, |path| forbidden(path, false))?;
                let other = other.context("there is no file that it could link to")?;
                fs::hard_link(other.path(), at.path())
            }
        };
        made.context("cannot make the link")?;
    }
    if !hard {
        lchown(at.path(), owner.user, owner.group).context("cannot change its owner")?;
    }
    at.sync()
}

#[cfg(test)]
mod tests;
