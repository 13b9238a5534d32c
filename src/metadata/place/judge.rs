//! Whether an envelope's entries may be written, before any is.
//!
//! Names alone tell most of it, the target as it is and the entries before one the rest. What lies behind a link that the envelope
//! itself makes cannot be told before the link is there; the writing judges it again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Error, Result, anyhow, bail};

use super::owner::Names;
use super::target::{Held, Target};
use super::{Conflict, MAX_APPENDED, stays};
use crate::exit::{Exit, WithExit, exit_of, fail};
use crate::metadata::envelope::{DOCUMENT, Entry, What};

/// Where an envelope may write: what an immutable OS keeps for its owner.
const ROOTS: [&str; 6] = ["/etc", "/var", "/opt", "/srv", "/home", "/root"];
/// Ours: what is kept there decides what the machine is. On the way to it there are only folders.
const RESERVED: &str = "/var/lib/slipway";

/// Judges entries by their names.
///
/// # Errors
/// [`Exit::Invalid`] with all that may not be written.
pub fn names(entries: &[Entry]) -> Result<()> {
    let problems: Vec<_> = entries.iter().filter_map(name).collect();
    if problems.is_empty() {
        return Ok(());
    }
    let problems = problems.join("\n");
    let error = anyhow!("the envelope must not write there:\n{problems}");
    Err(fail(Exit::Invalid, error))
}

/// The entries before one, by their paths.
type Before<'b> = BTreeMap<&'b str, &'b What>;

/// Judges entries by what the target has, and by each other.
///
/// # Errors
/// All that could not be written; the code is the first one's.
pub fn entries(place: &Target, names: &Names, all: &[Entry], conflict: Conflict) -> Result<()> {
    let mut before = Before::new();
    let mut problems = Vec::new();
    for entry in all {
        let owner = names.owner(entry).exit(Exit::Invalid);
        let judged = owner.and_then(|_| by_target(place, entry, conflict, &before));
        problems.extend(judged.err().map(|error| (entry, error)));
        before.insert(entry.path.as_str(), &entry.what);
    }
    let Some((_, first)) = problems.first() else {
        return Ok(());
    };
    let exit = exit_of(first);
    let line = |(entry, error): &(&Entry, Error)| format!("{:?}: {error:#}", entry.path);
    let lines: Vec<_> = problems.iter().map(line).collect();
    let lines = lines.join("\n");
    let error = anyhow!("the envelope cannot be written:\n{lines}");
    Err(fail(exit, error))
}

/// Judges an entry by the target, and by those before it in the envelope.
fn by_target(place: &Target, entry: &Entry, conflict: Conflict, before: &Before<'_>) -> Result<()> {
    let path = entry.path.as_str();
    if is_behind_a_link(path, before)? {
        return Ok(());
    }
    let is_folder = entry.what == What::Folder;
    let at = place.find(path, |path| forbidden(path, is_folder))?;
    let there = at.as_ref().map_or(Ok(None), Held::look)?;
    let earlier = before.get(path).copied();
    if stays(entry, conflict) && (there.is_some() || earlier.is_some()) {
        return Ok(());
    }
    if let What::Link { target, hard: true } = &entry.what {
        can_be_linked(place, target, before)?;
    }
    let is_above = before.keys().any(|other| is_in(other, path));
    match (earlier, at) {
        _ if is_above && !is_folder => bail!("it is a folder of the envelope"),
        (Some(earlier), _) => may_follow(earlier, entry),
        (None, Some(at)) => free(place, &at, entry),
        (None, None) => Ok(()),
    }
}

/// Whether a symbolic link of the envelope is on the way to a path: nothing can be told of it then.
///
/// # Errors
/// If a file of the envelope is on the way.
fn is_behind_a_link(path: &str, before: &Before<'_>) -> Result<bool> {
    for (end, _) in path.match_indices('/') {
        match before.get_key_value(path.split_at(end).0) {
            None | Some((_, What::Folder)) => {}
            Some((_, What::Link { hard: false, .. })) => return Ok(true),
            Some((file, _)) => bail!("{file:?} is a file of the envelope, not a folder"),
        }
    }
    Ok(false)
}

/// Whether a hard link may be made to a path.
fn can_be_linked(place: &Target, target: &str, before: &Before<'_>) -> Result<()> {
    let is_file = match before.get(target) {
        Some(What::Folder) => false,
        Some(_) => true,
        None if is_behind_a_link(target, before)? => true,
        None => {
            let other = place.find(target, |path| forbidden(path, false))?;
            let there = other.map_or(Ok(None), |other| other.look())?;
            there.is_some_and(|there| !there.is_dir())
        }
    };
    if !is_file {
        bail!("there is no file {target:?} that it could link to");
    }
    Ok(())
}

/// Whether an entry may take the place of another of the same path.
fn may_follow(earlier: &What, entry: &Entry) -> Result<()> {
    match (earlier, &entry.what) {
        (earlier, what) if earlier == what => Ok(()),
        (What::Folder, _) => bail!("it is a folder of the envelope"),
        (_, What::Folder) => bail!("it is a file or link of the envelope, not a folder"),
        (What::Link { hard: false, .. }, What::Append(_)) => {
            bail!("it is a link of the envelope, which cannot be appended to")
        }
        (_, What::Append(_)) => Ok(()),
        _ if entry.overwrite => Ok(()),
        _ => bail!(exists()),
    }
}

/// Whether an entry may take the place of what is there.
///
/// # Errors
/// What is there that must stay.
pub fn free(place: &Target, at: &Held, entry: &Entry) -> Result<()> {
    let Some(there) = at.look()? else {
        return Ok(());
    };
    match &entry.what {
        What::File(_) if !there.is_file() && !there.is_symlink() => {
            bail!("something else than a file is there; remove it first")
        }
        What::File(bytes) => {
            if !entry.overwrite && !at.holds(bytes.expose())? {
                bail!(exists());
            }
        }
        What::Append(_) if !there.is_file() || there.len() > MAX_APPENDED => {
            bail!("something that cannot be appended to is there; remove it first")
        }
        What::Folder if !there.is_dir() => {
            bail!("something else than a folder is there; remove it first")
        }
        What::Link { target, hard } => {
            let overwrite = entry.overwrite && !there.is_dir();
            if !overwrite && !is_link(place, at, target, *hard)? {
                bail!(exists());
            }
        }
        What::Append(_) | What::Folder => {}
    }
    Ok(())
}

/// Whether what is there is the link that an entry would make.
pub fn is_link(place: &Target, at: &Held, target: &str, hard: bool) -> Result<bool> {
    if !hard {
        return Ok(fs::read_link(at.path()).is_ok_and(|there| there == Path::new(target)));
    }
    let Some(other) = place.find(target, |path| forbidden(path, false))? else {
        return Ok(false);
    };
    let ids = (other.look()?, at.look()?);
    Ok(matches!(ids, (Some(a), Some(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino())))
}

fn exists() -> &'static str {
    "something is there already, and the envelope does not say overwrite"
}

/// Why an entry may not be written, if so.
fn name(entry: &Entry) -> Option<String> {
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
pub fn forbidden(path: &str, folder: bool) -> Option<String> {
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

/// Whether a path is somewhere below a folder.
fn is_in(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder);
    rest.is_some_and(|rest| rest.starts_with('/'))
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
