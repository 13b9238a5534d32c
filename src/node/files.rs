//! Atomic files: written beside, fsynced, renamed.
//!
//! The temporary name starts with a dot, because the kubelet ignores dot files in its manifest
//! folder: it never sees a file that is half there. A file whose content, mode and owner are right
//! already is left alone, so that running a stage again wakes nobody who watches the folder.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::libc;
use nix::unistd::{getegid, geteuid};

/// How a file should look on disk.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Permission bits.
    pub mode: u32,
    /// User and group; `None` is the caller's own.
    pub owner: Option<(u32, u32)>,
}

/// What the name of a file ends in until it is whole.
const BESIDE: &str = ".slipway";

/// A file only its owner reads.
pub const PRIVATE: Look = Look {
    mode: 0o600,
    owner: None,
};
/// A file everybody reads.
pub const PUBLIC: Look = Look {
    mode: 0o644,
    owner: None,
};

/// Makes `path` hold `bytes` durably, its folder included. Returns whether anything changed.
pub fn write(path: &Path, bytes: &[u8], look: Look) -> Result<bool> {
    let beside = prepare(path, bytes, look)?;
    beside.map_or(Ok(false), |beside| beside.put().map(|()| true))
}

/// What [`write`] does, but for its last step, which a full disk does not prevent. `None` where nothing is to be changed.
pub fn prepare(path: &Path, bytes: &[u8], look: Look) -> Result<Option<Beside>> {
    if is_already(path, bytes, look) {
        return Ok(None);
    }
    let beside = beside(path).and_then(|place| {
        let beside = Beside {
            place,
            path: path.to_owned(),
        };
        fill(&beside.place, bytes, look).map(|()| beside)
    });
    let beside = beside.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Some(beside))
}

/// A file that is whole and lies beside its place. It goes if it is not put there.
#[derive(Debug)]
pub struct Beside {
    place: PathBuf,
    path: PathBuf,
}

impl Beside {
    /// Puts it in its place, durably.
    pub fn put(self) -> Result<()> {
        let put = || {
            fs::rename(&self.place, &self.path)?;
            sync_folder(self.path.parent().context("the path has no folder")?)
        };
        put().with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Best effort: the error that counts is the one that brought us here. Once put, it is not there.
        let _ = fs::remove_file(&self.place);
    }
}

/// Whether a file of this name lies beside its place: a power cut can leave one.
pub fn is_beside(name: &str) -> bool {
    placed(name).is_some()
}

/// Takes up what a power cut left beside its place; the caller knows that it is whole.
pub fn put_left(place: PathBuf) -> Result<()> {
    let name = place.file_name().and_then(|name| name.to_str());
    let name = name.and_then(placed);
    let name = name.with_context(|| format!("{} is in its place", place.display()))?;
    let path = place.with_file_name(name);
    Beside { place, path }.put()
}

fn placed(name: &str) -> Option<&str> {
    name.strip_prefix('.')?.strip_suffix(BESIDE)
}

fn is_already(path: &Path, bytes: &[u8], look: Look) -> bool {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return false;
    };
    meta.is_file()
        && meta.mode() & 0o7777 == look.mode
        && is_owned(&meta, look)
        && meta.len() == bytes.len() as u64
        && fs::read(path).is_ok_and(|there| there == bytes)
}

/// Whether what is there belongs to whom it should. Of the caller's own the user tells: a folder may give its group to what is made in it.
fn is_owned(meta: &Metadata, look: Look) -> bool {
    match look.owner {
        Some(owner) => (meta.uid(), meta.gid()) == owner,
        None => meta.uid() == geteuid().as_raw(),
    }
}

fn beside(path: &Path) -> Result<PathBuf> {
    let folder = path.parent().context("the path has no folder")?;
    make_folder(folder, 0o755)?;
    let name = path.file_name().context("the path has no name")?;
    Ok(folder.join(format!(".{}{BESIDE}", name.to_string_lossy())))
}

fn fill(path: &Path, bytes: &[u8], look: Look) -> Result<()> {
    remove(path)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    if let Some((user, group)) = look.owner {
        fchown(&file, Some(user), Some(group))?;
    }
    file.set_permissions(Permissions::from_mode(look.mode))?;
    Ok(file.sync_all()?)
}

/// Makes a folder and those above it; the ones it has to make get `mode`.
pub fn make_folder(folder: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))
}

/// Makes a folder, and those above it that are not there, and gives it the mode and the owner that it should have. Returns whether
/// anything differed. A symbolic link is no folder: who may write in a volume could lead root elsewhere by one.
pub fn keep_folder(folder: &Path, look: Look) -> Result<bool> {
    make_folder(folder, look.mode)?;
    let keep = || {
        let folder = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(folder)?;
        let meta = folder.metadata()?;
        let (is_owned, has_mode) = (is_owned(&meta, look), meta.mode() & 0o7777 == look.mode);
        if !is_owned {
            let own = || (geteuid().as_raw(), getegid().as_raw());
            let (user, group) = look.owner.unwrap_or_else(own);
            fchown(&folder, Some(user), Some(group))?;
        }
        if !has_mode {
            folder.set_permissions(Permissions::from_mode(look.mode))?;
        }
        std::io::Result::Ok(!is_owned || !has_mode)
    };
    keep().with_context(|| format!("cannot make the folder {} what it was", folder.display()))
}

/// Removes a file durably; one that is not there is success. Returns whether it was there.
pub fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(path.parent().unwrap_or(Path::new("/"))).map(|()| true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", path.display())),
    }
}

/// The bytes of a file, or `None` if it is not there.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Makes the entries of a folder durable.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("cannot sync the folder {}", folder.display()))
}

/// `path`, which is absolute on a node, below the root prefix that tests use.
pub fn below(root: &Path, path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_once_and_leaves_what_is_right_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert!(write(&path, b"x", PRIVATE).unwrap());
        assert!(!write(&path, b"x", PRIVATE).unwrap());
        assert!(write(&path, b"x", PUBLIC).unwrap());
        assert!(write(&path, b"y", PUBLIC).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"y");
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_mended_where_it_differs() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        let look = Look {
            mode: 0o700,
            owner: None,
        };
        let mode = || fs::metadata(&folder).unwrap().mode() & 0o7777;
        keep_folder(&folder, look).unwrap();
        assert!(mode() == 0o700 && !keep_folder(&folder, look).unwrap());
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        assert!(keep_folder(&folder, look).unwrap() && mode() == 0o700);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        keep_folder(&link, look).unwrap_err();
    }

    #[test]
    fn another_owner_is_noticed() {
        if !geteuid().is_root() {
            return; // Only root can give anything away.
        }
        let dir = tempfile::tempdir().unwrap();
        let (folder, file) = (dir.path().join("a"), dir.path().join("a/b"));
        let look = Look {
            mode: 0o700,
            owner: None,
        };
        write(&file, b"x", PRIVATE).unwrap();
        keep_folder(&folder, look).unwrap();
        for path in [&folder, &file] {
            std::os::unix::fs::chown(path, Some(7), Some(7)).unwrap();
        }
        assert!(keep_folder(&folder, look).unwrap() && write(&file, b"x", PRIVATE).unwrap());
        for path in [&folder, &file] {
            let meta = fs::metadata(path).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (0, 0), "{}", path.display());
        }
        let theirs = Look {
            owner: Some((7, 8)),
            ..look
        };
        assert!(keep_folder(&folder, theirs).unwrap() && !keep_folder(&folder, theirs).unwrap());
    }

    #[test]
    fn a_full_or_forbidden_target_leaves_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("there");
        fs::create_dir(&path).unwrap();
        let error = write(&path, b"x", PUBLIC).unwrap_err();
        assert!(format!("{error:#}").contains("there"), "{error:#}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn below_a_root() {
        assert_eq!(below(Path::new("/t"), "/etc/x"), Path::new("/t/etc/x"));
        assert_eq!(below(Path::new("/"), "/etc/x"), Path::new("/etc/x"));
    }
}
