//! One writer of a folder at a time, or of whatever else has a name.
//!
//! The folder itself cannot carry the lock, because a rename puts another in its place; a file beside it
//! can. It goes when its holder is done, so that nothing stays beside a folder in rest; whoever locked a
//! file that is gone by then tries again. A long lock's file says who holds it, for people: the kernel alone
//! decides.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use super::files::make_folder;
use super::tree;
use crate::exit::{Exit, fail};

/// What a try to lock came to.
#[derive(Debug)]
pub enum Attempt {
    /// We have it. `None` where nobody can write beside the folder, so not in it either.
    Ours(Option<Lock>),
    /// Somebody else has it: who, in words.
    Theirs(String),
}

/// The right to write a folder, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// Open as long as the lock is held; the kernel forgets it with the process.
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // One that stays is locked by the next as if it were new.
        let _ = fs::remove_file(&self.path);
    }
}

/// Locks `folder`, which need not exist. `None` where nobody can write beside it, so not in it either.
///
/// # Errors
/// [`Exit::Refused`] if somebody else has it.
pub fn take(folder: &Path) -> Result<Option<Lock>> {
    // Not signed: nobody waits for so short a lock, and ext4 takes half a millisecond to forget the text.
    match lock(folder, None)? {
        Attempt::Ours(lock) => Ok(lock),
        Attempt::Theirs(_) => {
            let error = anyhow!(
                "another slipway is writing {}; wait until it is done, then run this again",
                folder.display()
            );
            Err(fail(Exit::Refused, error))
        }
    }
}

/// As [`take`], but for the caller to judge; others are told that `who` has it.
pub fn attempt(folder: &Path, who: &str) -> Result<Attempt> {
    lock(folder, Some(who))
}

fn lock(folder: &Path, who: Option<&str>) -> Result<Attempt> {
    let (parent, path) = tree::beside(folder, "lock")?;
    make_folder(parent, 0o755)?;
    loop {
        let file = match open(&path) {
            Err(error) if is_forbidden(&error) => return Ok(Attempt::Ours(None)),
            file => file.with_context(|| format!("cannot open {}", path.display()))?,
        };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(Attempt::Theirs(holder(&file))),
            locked => locked.with_context(|| format!("cannot lock {}", path.display()))?,
        }
        if is_at(&file, &path)? {
            if let Some(who) = who {
                sign(&file, who);
            }
            return Ok(Attempt::Ours(Some(Lock { path, _file: file })));
        }
    }
}

/// Says in the file who has it. On a full disk nobody is told, and the lock is good all the same.
fn sign(mut file: &File, who: &str) {
    let text = format!("{who} (process {})", std::process::id());
    let _ = file
        .set_len(0)
        .and_then(|()| file.write_all(text.as_bytes()));
}

/// Who has a file that is locked. In the moment before the holder has signed it, nobody knows.
fn holder(mut file: &File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(1..) => text,
        _ => "another slipway".to_owned(),
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options.open(path)
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied
    )
}

/// Whether the name still leads to this file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let inode = |meta: fs::Metadata| (meta.dev(), meta.ino());
    match fs::metadata(path) {
        Ok(there) => Ok(inode(there) == inode(file.metadata()?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of;

    #[test]
    fn one_at_a_time_and_nothing_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/assets");
        for _ in 0..2 {
            let first = take(&folder).unwrap();
            assert!(first.is_some());
            let error = take(&folder).unwrap_err();
            assert_eq!(exit_of(&error), Exit::Refused);
            assert!(error.to_string().contains("another slipway"), "{error:#}");
            assert!(take(&dir.path().join("a/other")).unwrap().is_some());
            drop(first);
            assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 0);
        }
    }

    #[test]
    fn the_other_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cluster");
        // What a killed one with a longer name left.
        fs::write(dir.path().join(".cluster.slipway-lock"), "x".repeat(100)).unwrap();
        let first = attempt(&folder, "slipway certs renew").unwrap();
        assert!(matches!(first, Attempt::Ours(Some(_))), "{first:?}");
        let Attempt::Theirs(who) = attempt(&folder, "slipway start").unwrap() else {
            panic!("two at a time")
        };
        let process = std::process::id();
        assert_eq!(who, format!("slipway certs renew (process {process})"));
    }

    #[test]
    fn a_lock_that_a_killed_process_left_is_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".assets.slipway-lock"), "").unwrap();
        assert!(take(&dir.path().join("assets")).unwrap().is_some());
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let file = open(&path).unwrap();
        assert!(is_at(&file, &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&file, &path).unwrap());
        let _another = open(&path).unwrap();
        assert!(!is_at(&file, &path).unwrap());
    }
}
