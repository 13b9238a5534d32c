//! Everything below a folder, as a value: to put it back, and to see what differs.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Paths below the folder, in their order, with what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<String, Entry>);

/// A file or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its kind and its permissions.
    mode: u32,
    owner: (u32, u32),
    /// When it was changed last, in seconds and nanoseconds.
    modified: (i64, i64),
    /// Of a file what it holds.
    pub bytes: Option<Vec<u8>>,
}

impl Entry {
    fn folder() -> Entry {
        Entry {
            mode: 0o40_755,
            owner: (0, 0),
            modified: (0, 0),
            bytes: None,
        }
    }

    /// A file of root alone with nothing in it.
    pub fn empty() -> Entry {
        Entry {
            mode: 0o100_600,
            bytes: Some(Vec::new()),
            ..Entry::folder()
        }
    }
}

impl Tree {
    /// Reads it; one that is not there is empty.
    pub fn read(root: &Path) -> Result<Tree> {
        let mut tree = Tree::default();
        if root.exists() {
            tree.add(root, "")?;
        }
        Ok(tree)
    }

    /// The same below folders of root, of which the last one holds it.
    pub fn below(self, folders: &[&str]) -> Tree {
        let last = folders.last().copied().unwrap_or_default();
        let folder = |path: &&str| ((*path).to_owned(), Entry::folder());
        let moved = self.0.into_iter();
        let moved = moved.map(|(path, entry)| (format!("{last}/{path}"), entry));
        Tree(folders.iter().map(folder).chain(moved).collect())
    }

    fn add(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let meta = entry.metadata()?;
            ensure!(meta.is_file() || meta.is_dir(), "{path} is of another kind");
            let bytes = meta.is_file().then(|| fs::read(entry.path()));
            if meta.is_dir() {
                self.add(&entry.path(), &format!("{path}/"))?;
            }
            let entry = Entry {
                mode: meta.mode(),
                owner: (meta.uid(), meta.gid()),
                modified: (meta.mtime(), meta.mtime_nsec()),
                bytes: bytes.transpose()?,
            };
            self.0.insert(path, entry);
        }
        Ok(())
    }

    /// Makes `root` hold exactly this, but for when it was changed.
    pub fn write(&self, root: &Path) -> Result<()> {
        if root.exists() {
            fs::remove_dir_all(root)?;
        }
        fs::create_dir_all(root)?;
        // A folder comes before what is in it.
        for (path, entry) in &self.0 {
            let path = root.join(path);
            match &entry.bytes {
                None => DirBuilder::new().mode(0o700).create(&path)?,
                Some(bytes) => fs::write(&path, bytes)?,
            }
            fs::set_permissions(&path, Permissions::from_mode(entry.mode & 0o7777))?;
            chown(&path, Some(entry.owner.0), Some(entry.owner.1))?;
        }
        Ok(())
    }

    /// What is only in one of the two, or differs in kind, permissions, owner or, where `same` says so, in what it
    /// holds.
    pub fn differs(&self, other: &Tree, same: impl Fn(&[u8], &[u8]) -> bool) -> Vec<String> {
        let mut found = Vec::new();
        for (path, entry) in &self.0 {
            let Some(there) = other.0.get(path) else {
                found.push(format!("{path} is missing"));
                continue;
            };
            if (entry.mode, entry.owner) != (there.mode, there.owner) {
                let (was, is) = (entry.mode, there.mode);
                found.push(format!(
                    "{path}: {was:o} of {:?} is {is:o} of {:?}",
                    entry.owner, there.owner
                ));
            }
            let is_same = match (&entry.bytes, &there.bytes) {
                (Some(bytes), Some(there)) => bytes == there || same(bytes, there),
                (bytes, there) => bytes.is_some() == there.is_some(),
            };
            if !is_same {
                found.push(format!("{path} holds something else"));
            }
        }
        let more = other.0.keys().filter(|path| !self.0.contains_key(*path));
        found.extend(more.map(|path| format!("{path} is left over")));
        found
    }

    /// What a file holds.
    pub fn file(&self, path: &str) -> Result<&[u8]> {
        let bytes = self.0.get(path).and_then(|entry| entry.bytes.as_deref());
        bytes.with_context(|| format!("there is no {path}"))
    }
}
