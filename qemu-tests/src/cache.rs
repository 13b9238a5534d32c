//! The content-addressed cache that survives `cargo clean` and serves every clone on the machine.
//!
//! An entry is a folder `NAME-KEY` whose key is a hash over everything that went into it; it is
//! built beside its place and renamed there, so what exists is complete. Modification times are no
//! part of a key: a fresh clone has new ones for the same sources.

use anyhow::{Context, Result};
use ring::digest;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Hex digits of a hash that make a key.
const KEY_DIGITS: usize = 16;

/// How long an entry that nothing uses is kept.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);

/// A hash over named inputs.
pub struct Key(digest::Context);

impl Key {
    /// A key with nothing in it yet but the text of its recipe.
    pub fn new(recipe: &str) -> Key {
        Key(digest::Context::new(&digest::SHA256)).add("recipe", recipe.as_bytes())
    }

    /// Adds an input; its name and length keep neighbours apart.
    pub fn add(mut self, name: &str, bytes: &[u8]) -> Key {
        self.0
            .update(format!("{name} {}\n", bytes.len()).as_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds every file below `folder`, in the order of their paths.
    pub fn add_tree(self, folder: &Path) -> Result<Key> {
        let mut key = self;
        for path in files_below(folder)? {
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.strip_prefix(folder).unwrap_or(&path);
            key = key.add(&name.to_string_lossy(), &bytes);
        }
        Ok(key)
    }

    /// The key as hex digits.
    pub fn finish(self) -> String {
        let mut text = hex(self.0.finish().as_ref());
        text.truncate(KEY_DIGITS);
        text
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The regular files below a folder, sorted by path.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// `$XDG_CACHE_HOME/slipway`, or `~/.cache/slipway`.
pub fn root() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(base) => PathBuf::from(base),
        None => {
            let home = std::env::var_os("HOME").context("HOME is not set: no place for a cache")?;
            Path::new(&home).join(".cache")
        }
    };
    Ok(base.join("slipway"))
}

/// The folder of an entry; `build` fills it if it does not exist yet. A second run that wants the
/// same entry waits for the first.
pub fn entry(name: &str, key: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let root = root()?;
    let place = root.join(format!("{name}-{key}"));
    if place.exists() {
        touch(&place);
        return Ok(place);
    }
    fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
    let lock = root.join(format!("{name}.lock"));
    let file = File::create(&lock).with_context(|| format!("cannot create {}", lock.display()))?;
    file.lock()
        .with_context(|| format!("cannot lock {}", lock.display()))?;
    if place.exists() {
        return Ok(place);
    }
    let partial = root.join(format!("{name}-{key}.partial"));
    empty(&partial)?;
    build(&partial)?;
    fs::rename(&partial, &place)
        .with_context(|| format!("cannot move {} into place", partial.display()))?;
    touch(&place);
    forget(&root, name)?;
    Ok(place)
}

/// Notes that an entry is in use. Only [`forget`] reads it, so a failure costs a later build.
fn touch(entry: &Path) {
    let _ = File::open(entry).and_then(|folder| folder.set_modified(SystemTime::now()));
}

/// Removes the entries of this name, finished or not, that nothing has used for [`KEPT`].
fn forget(root: &Path, name: &str) -> Result<()> {
    let entries = fs::read_dir(root).with_context(|| format!("cannot list {}", root.display()))?;
    for entry in entries.filter_map(std::io::Result::ok) {
        let file = entry.file_name().to_string_lossy().into_owned();
        let modified = entry.metadata().and_then(|meta| meta.modified());
        let age = modified.ok().and_then(|modified| modified.elapsed().ok());
        if is_entry_of(&file, name) && age.is_some_and(|age| age > KEPT) {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Whether a file name is `NAME-KEY` or `NAME-KEY.partial`: `store-base-…` is none of `store`.
fn is_entry_of(file: &str, name: &str) -> bool {
    let key = file
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('-'))
        .map(|key| key.strip_suffix(".partial").unwrap_or(key));
    key.is_some_and(|key| key.len() == KEY_DIGITS && key.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What tells a cached path's content: the entry's name with its key, and the path below it.
pub fn identity(path: &Path) -> Result<String> {
    let real = path
        .canonicalize()
        .with_context(|| format!("there is no {}", path.display()))?;
    let below = real.strip_prefix(root()?.canonicalize()?);
    let below = below.with_context(|| format!("{} is not in the cache", path.display()))?;
    Ok(below.to_string_lossy().into_owned())
}

/// Makes `folder` an empty folder.
pub fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

/// Makes `link` a symbolic link to `target`, a folder of the cache, in place of what it pointed to.
pub fn point(link: &Path, target: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|current| current == target) {
        return Ok(());
    }
    let shown = || format!("cannot make {} a link", link.display());
    fs::create_dir_all(link.parent().unwrap_or(link)).with_context(shown)?;
    let partial = link.with_extension("partial");
    let _ = fs::remove_file(&partial);
    symlink(target, &partial)
        .and_then(|()| fs::rename(&partial, link))
        .with_context(shown)
}

/// Puts `from` at `to` as a hard link, or as a copy where the cache is another file system.
/// Real files rather than symlinks, because the image build copies them.
pub fn link(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
    }
    if to.exists() {
        fs::remove_file(to).with_context(|| format!("cannot replace {}", to.display()))?;
    }
    fs::hard_link(from, to)
        .or_else(|_| fs::copy(from, to).map(drop))
        .with_context(|| format!("cannot put {} at {}", from.display(), to.display()))
}

/// Whether `to` is already what [`link`] would make of `from`: the same file, or one of the same
/// length and no older where hard links are impossible.
pub fn is_linked(from: &Path, to: &Path) -> bool {
    let (Ok(from), Ok(to)) = (from.metadata(), to.metadata()) else {
        return false;
    };
    if from.dev() == to.dev() {
        return from.ino() == to.ino();
    }
    from.len() == to.len() && from.mtime() <= to.mtime()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_every_name_and_byte() {
        let key = |name: &str, bytes: &[u8]| Key::new("r").add(name, bytes).finish();
        assert_eq!(key("go.sum", b"a"), key("go.sum", b"a"));
        assert_ne!(key("go.sum", b"a"), key("go.sum", b"b"));
        assert_ne!(key("go.sum", b"a"), key("go.mod", b"a"));
        assert_ne!(
            key("go.sum", b"a"),
            Key::new("s").add("go.sum", b"a").finish()
        );
        assert_eq!(key("go.sum", b"a").len(), KEY_DIGITS);
    }

    #[test]
    fn an_entry_belongs_to_one_name() {
        assert!(is_entry_of("store-0123456789abcdef", "store"));
        assert!(is_entry_of("store-0123456789abcdef.partial", "store"));
        assert!(!is_entry_of("store-base-0123456789abcdef", "store"));
        assert!(!is_entry_of("store.lock", "store"));
    }

    #[test]
    fn only_what_is_old_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let (old, new) = (
            root.path().join("a-0123456789abcdef"),
            root.path().join("a-fedcba9876543210"),
        );
        for (folder, age) in [(&old, KEPT * 2), (&new, KEPT / 2)] {
            fs::create_dir(folder).unwrap();
            let time = SystemTime::now() - age;
            File::open(folder).unwrap().set_modified(time).unwrap();
        }
        forget(root.path(), "a").unwrap();
        assert!(!old.exists() && new.exists());
    }

    #[test]
    fn a_tree_counts_by_content_not_by_time() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/b"), "1").unwrap();
        let key = || Key::new("r").add_tree(folder.path()).unwrap().finish();
        let before = key();
        fs::write(folder.path().join("sub/b"), "1").unwrap();
        assert_eq!(key(), before);
        fs::write(folder.path().join("a"), "").unwrap();
        assert_ne!(key(), before);
    }
}
