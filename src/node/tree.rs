//! Whole folders, exchanged in one step.
//!
//! A tree of files is written beside the one it replaces (`.NAME.slipway-new`, so on the same file
//! system), made durable by one syncfs instead of an fsync a file, and takes its place by one
//! rename. Whoever looks sees the old tree or the new one; a power cut leaves one of them whole.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::libc;

use super::files::{make_folder, sync_folder};
use crate::assets::{Asset, Assets};
use crate::secret::Secret;

/// Reads a tree; one that is not there is empty. `owner` says whose a file is once installed,
/// which the tree itself does not tell. Symbolic links and special files are refused, because they
/// could lead out of the tree.
pub fn read(folder: &Path, owner: fn(&str) -> u32) -> Result<Assets> {
    let mut assets = Assets::default();
    match fs::read_dir(folder) {
        Ok(_) => read_below(folder, "", owner, &mut assets)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", folder.display()));
        }
    }
    Ok(assets)
}

fn read_below(
    folder: &Path,
    prefix: &str,
    owner: fn(&str) -> u32,
    assets: &mut Assets,
) -> Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let path = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            bail!("{} has no UTF-8 name", path.display())
        };
        let name = format!("{prefix}{name}");
        let kind = entry.file_type();
        let kind = kind.with_context(|| format!("cannot look at {}", path.display()))?;
        if kind.is_dir() {
            read_below(&path, &format!("{name}/"), owner, assets)?;
        } else if kind.is_file() {
            let owner = owner(&name);
            let asset = read_one(&path, owner)
                .with_context(|| format!("cannot read {}", path.display()))?;
            assets.insert(name, asset);
        } else {
            bail!(
                "{} is neither a file nor a folder; remove it",
                path.display()
            );
        }
    }
    Ok(())
}

fn read_one(path: &Path, owner: u32) -> io::Result<Asset> {
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    let meta = file.metadata()?;
    // Nobody writes into a file that is in place, so its length is known: one read, none for the end.
    let mut bytes = vec![0; meta.len() as usize];
    file.read_exact(&mut bytes)?;
    Ok(Asset {
        mode: meta.mode() & 0o7777,
        owner,
        bytes: Secret::new(bytes),
    })
}

/// Makes `folder` hold exactly `assets`, all folders readable by their owner only.
pub fn replace(folder: &Path, assets: &Assets) -> Result<()> {
    let (parent, beside) = beside(folder, "new")?;
    remove_all(&beside)?;
    let filled = make_folder(parent, 0o755)
        .and_then(|()| fill(&beside, assets))
        .and_then(|()| exchange(&beside, folder));
    if filled.is_ok() {
        sync_folder(parent)?;
    }
    // Whatever lies beside now is the old tree or an unfinished one.
    let removed = remove_all(&beside);
    filled.map_err(|error| {
        let advice = advice(&error);
        error.context(format!(
            "cannot write {}; it is unchanged{advice}",
            folder.display()
        ))
    })?;
    removed
}

/// What a person can do about a failed write.
pub fn advice(error: &anyhow::Error) -> &'static str {
    let cause = error.chain().find_map(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        kind.or_else(|| {
            cause
                .downcast_ref()
                .map(|errno: &Errno| io::Error::from(*errno).kind())
        })
    });
    match cause {
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            "; free space there, then run this again"
        }
        Some(ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {
            "; mount it writable or name another folder"
        }
        _ => "",
    }
}

/// As [`replace`], where `earlier` is what `folder` holds: nothing is written that is there.
pub fn update(folder: &Path, earlier: &Assets, assets: &Assets) -> Result<()> {
    match earlier == assets {
        true => sweep(folder),
        false => replace(folder, assets),
    }
}

/// Removes what an interrupted [`replace`] may have left beside `folder`.
pub fn sweep(folder: &Path) -> Result<()> {
    remove_all(&beside(folder, "new")?.1)
}

/// The folder's own folder, and a hidden name of slipway's beside it, e.g. `.assets.slipway-new`.
pub(super) fn beside<'a>(folder: &'a Path, what: &str) -> Result<(&'a Path, PathBuf)> {
    let parent = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let name = folder
        .file_name()
        .with_context(|| format!("{} is no folder of its own", folder.display()))?;
    let beside = parent.join(format!(".{}.slipway-{what}", name.to_string_lossy()));
    Ok((parent, beside))
}

fn fill(folder: &Path, assets: &Assets) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(folder)?;
    let mut made = folder.to_owned();
    for (path, asset) in assets.iter() {
        let target = folder.join(path);
        // Paths are sorted, so a folder's files follow each other.
        if let Some(parent) = target.parent().filter(|parent| *parent != made) {
            builder.create(parent).with_context(|| path.to_owned())?;
            made = parent.to_owned();
        }
        write(&target, asset).with_context(|| path.to_owned())?;
    }
    nix::unistd::syncfs(File::open(folder)?).context("cannot sync the file system")
}

fn write(path: &Path, asset: &Asset) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(asset.mode)
        .open(path)?;
    file.write_all(asset.bytes.expose())?;
    // The umask may have taken bits away; to look costs less than to set what is right already.
    if file.metadata()?.mode() & 0o7777 == asset.mode {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(asset.mode))
}

/// Gives `new` the name `old` in one step, and the other way round if `old` exists.
fn exchange(new: &Path, old: &Path) -> Result<()> {
    if !old.exists() {
        return fs::rename(new, old).context("cannot rename");
    }
    let name = |path: &Path| CString::new(path.as_os_str().as_bytes());
    let (from, to) = (name(new)?, name(old)?);
    // As a raw system call: the musl that Rust links with has no renameat2.
    // SAFETY: both pointers are NUL-terminated strings that live across the call.
    let result = unsafe {
        let here = libc::AT_FDCWD;
        libc::syscall(
            libc::SYS_renameat2,
            here,
            from.as_ptr(),
            here,
            to.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    };
    if result == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error()).context("cannot exchange the old and the new folder")
}

fn remove_all(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assets(files: &[(&str, &str)]) -> Assets {
        let mut assets = Assets::default();
        for (path, text) in files {
            assets.add_secret(*path, 0, *text);
        }
        assets
    }

    #[test]
    fn what_is_written_reads_back_and_nothing_stays_beside() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/assets");
        for files in [&[("x", "1"), ("y/z", "2")][..], &[("y/z", "3")]] {
            replace(&folder, &assets(files)).unwrap();
            assert_eq!(read(&folder, |_| 0).unwrap(), assets(files));
            assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
        }
        assert_eq!(
            fs::metadata(folder.join("y")).unwrap().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn what_an_earlier_try_left_is_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(".assets.slipway-new/tls")).unwrap();
        fs::write(dir.path().join(".assets.slipway-new/tls/half"), "x").unwrap();
        replace(&dir.path().join("assets"), &assets(&[("x", "1")])).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_leaves_the_old_tree() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("assets");
        replace(&folder, &assets(&[("x", "1")])).unwrap();
        // A file cannot also be a folder.
        let error = replace(&folder, &assets(&[("x", "2"), ("x/y", "3")])).unwrap_err();
        assert!(format!("{error:#}").contains("unchanged"), "{error:#}");
        assert_eq!(read(&folder, |_| 0).unwrap(), assets(&[("x", "1")]));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_error_says_what_to_do() {
        let of = |errno: Errno| advice(&anyhow::Error::new(io::Error::from(errno)).context("x"));
        assert!(of(Errno::ENOSPC).contains("free space"));
        assert!(of(Errno::EROFS).contains("writable"));
        assert!(advice(&anyhow::Error::new(Errno::ENOSPC)).contains("free space"));
        assert_eq!(of(Errno::EBUSY), "");
    }

    #[test]
    fn links_are_refused_and_a_missing_tree_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(&dir.path().join("none"), |_| 0).unwrap().is_empty());
        std::os::unix::fs::symlink("/etc/shadow", dir.path().join("link")).unwrap();
        let error = read(dir.path(), |_| 0).unwrap_err();
        assert!(error.to_string().contains("link"), "{error:#}");
    }
}
