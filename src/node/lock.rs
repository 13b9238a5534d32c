//! One writer of a folder at a time.
//!
//! The folder itself cannot carry the lock, because a rename puts another in its place; a file beside it
//! can. It goes when its holder is done, so that nothing stays beside a folder in rest; whoever locked a
//! file that is gone by then tries again.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use super::files::make_folder;
use super::tree;
use crate::exit::{Exit, fail};

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
    let (parent, path) = tree::beside(folder, "lock")?;
    make_folder(parent, 0o755)?;
    loop {
        let file = match open(&path) {
            Err(error) if is_forbidden(&error) => return Ok(None),
            file => file.with_context(|| format!("cannot open {}", path.display()))?,
        };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let error = anyhow!(
                    "another slipway is writing {}; wait until it is done, then run this again",
                    folder.display()
                );
                return Err(fail(Exit::Refused, error));
            }
            locked => locked.with_context(|| format!("cannot lock {}", path.display()))?,
        }
        if is_at(&file, &path)? {
            return Ok(Some(Lock { path, _file: file }));
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
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
